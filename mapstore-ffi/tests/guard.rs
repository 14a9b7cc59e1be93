//! Every exported function is plain `extern "C"`, and its body is one guard
//! and nothing else, in a few lines: what a person would have to remember.

use std::path::Path;

use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Attribute, Block, Expr, ItemFn, Stmt};

/// The most lines of a body, without its braces.
const LINES: usize = 15;

const GUARDS: [&str; 4] = ["guard", "guard_value", "guard_new", "guard_free"];

#[derive(Default)]
struct Exported {
    names: Vec<String>,
    faults: Vec<String>,
}

impl<'ast> Visit<'ast> for Exported {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if function.attrs.iter().any(exports) || function.sig.abi.is_some() {
            let name = function.sig.ident.to_string();
            self.faults.extend(fault(function).map(|fault| format!("{name}: {fault}")));
            self.names.push(name);
        }
        syn::visit::visit_item_fn(self, function);
    }

    // An associated function could be exported as well; none is.
    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if function.attrs.iter().any(exports) || function.sig.abi.is_some() {
            self.faults.push(format!("{}: an exported function has no place in an impl", function.sig.ident));
        }
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        if item.attrs.iter().any(exports) {
            self.faults.push(format!("{}: data is not exported", item.ident));
        }
    }

    /// What a macro emits is out of sight, for cbindgen too.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let tokens = call.tokens.to_string();
        if ["no_mangle", "export_name", "extern \"C\""].iter().any(|word| tokens.contains(word)) {
            self.faults.push("a macro that exports".to_owned());
        }
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        self.visit_macro(&item.mac);
    }
}

/// `#[unsafe(no_mangle)]` and its kin, also behind a `cfg_attr`.
fn exports(attribute: &Attribute) -> bool {
    let text = quote::ToTokens::to_token_stream(attribute).to_string();
    ["no_mangle", "export_name", "link_section"].iter().any(|word| text.contains(word))
}

fn fault(function: &ItemFn) -> Option<String> {
    let abi = function.sig.abi.as_ref().and_then(|abi| abi.name.as_ref()).map(syn::LitStr::value);
    if abi.as_deref() != Some("C") || !function.attrs.iter().any(exports) {
        return Some("not extern \"C\" with #[unsafe(no_mangle)]".to_owned());
    }
    let body = function.block.span();
    let lines = (body.end().line - body.start().line).saturating_sub(1);
    if lines > LINES {
        return Some(format!("its body has {lines} lines, at most {LINES} are allowed"));
    }
    match only_expression(&function.block) {
        Some(Expr::Unsafe(block)) => match only_expression(&block.block) {
            Some(inner) if is_guard(inner) => None,
            _ => Some("its unsafe block is not exactly one guard".to_owned()),
        },
        Some(inner) if is_guard(inner) => None,
        _ => Some("its body is not exactly one guard".to_owned()),
    }
}

fn only_expression(block: &Block) -> Option<&Expr> {
    match block.stmts.as_slice() {
        [Stmt::Expr(expression, None)] => Some(expression),
        _ => None,
    }
}

/// A direct call of a guard. Its arguments but for the closure are evaluated
/// outside of it: they may be names and what can't panic.
fn is_guard(expression: &Expr) -> bool {
    let Expr::Call(call) = expression else { return false };
    let Expr::Path(path) = &*call.func else { return false };
    let known = path.path.get_ident().is_some_and(|name| GUARDS.iter().any(|guard| name == guard));
    known && call.args.iter().all(cannot_panic)
}

fn cannot_panic(argument: &Expr) -> bool {
    match argument {
        Expr::Closure(_) | Expr::Path(_) | Expr::Lit(_) => true,
        Expr::Call(call) => call.args.is_empty() && is_named(&call.func, &["null", "null_mut"]),
        Expr::MethodCall(call) => call.method == "as_ptr" && matches!(&*call.receiver, Expr::Lit(_)),
        _ => false,
    }
}

fn is_named(function: &Expr, names: &[&str]) -> bool {
    let Expr::Path(path) = function else { return false };
    path.path.segments.last().is_some_and(|last| names.iter().any(|name| last.ident == name))
}

fn check(source: &str) -> Exported {
    let mut exported = Exported::default();
    exported.visit_file(&syn::parse_file(source).expect("Rust"));
    exported
}

#[test]
fn every_exported_function_is_one_guard() {
    let mut names = Vec::new();
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("src/") {
        let path = file.expect("src/").path();
        assert!(
            path.extension().is_some_and(|ext| ext == "rs"),
            "{}: a folder is not looked into",
            path.display()
        );
        let exported = check(&std::fs::read_to_string(&path).expect("UTF-8"));
        assert_eq!(exported.faults, Vec::<String>::new(), "{}", path.display());
        names.extend(exported.names);
    }
    names.sort();
    let listed: Vec<&str> = include_str!("../symbols.txt").lines().collect();
    names.retain(|name| name != "mapstore_test_panic");
    assert_eq!(names, listed, "symbols.txt lists what is exported");
}

#[test]
fn the_check_can_fail() {
    let export = "#[unsafe(no_mangle)] pub unsafe extern \"C\" fn f(p: *const T) -> i32";
    for (body, wrong) in [
        ("{ guard(error, || Ok(())) }", None),
        ("{ unsafe { guard_value(ptr::null(), || p.as_ref().map(T::len)) } }", None),
        ("{ unsafe { guard_value(c\"\".as_ptr(), || None) } }", None),
        ("{ 0 }", Some("not exactly one guard")),
        ("{ guard(error, || Ok(())); 0 }", Some("not exactly one guard")),
        ("{ let x = look(p); guard(error, || Ok(())) }", Some("not exactly one guard")),
        ("{ unsafe { let x = *p; guard(error, || Ok(())) } }", Some("not exactly one guard")),
        ("{ guard(look(p), || Ok(())) }", Some("not exactly one guard")),
        ("{ guard(error, || Ok(())) + 1 }", Some("not exactly one guard")),
        ("{ other::guard(error, || Ok(())) }", Some("not exactly one guard")),
        ("{ guardian(error, || Ok(())) }", Some("not exactly one guard")),
        (&format!("{{ guard(error, || {{ {} Ok(()) }}) }}", "\nx();".repeat(20)), Some("lines")),
    ] {
        let faults = check(&format!("{export} {body}")).faults;
        match wrong {
            None => assert_eq!(faults, Vec::<String>::new(), "{body}"),
            Some(words) => assert!(faults.len() == 1 && faults[0].contains(words), "{body}: {faults:?}"),
        }
    }
    for source in [
        "#[unsafe(no_mangle)] pub fn f() { guard_new(T::new) }",
        "pub extern \"C\" fn f() { guard_new(T::new) }",
        "#[unsafe(export_name = \"g\")] pub extern \"C\" fn f() {}",
        "mod inner { #[unsafe(no_mangle)] pub extern \"C\" fn f() {} }",
        "impl T { #[unsafe(no_mangle)] pub extern \"C\" fn f() { guard_new(T::new) } }",
        "#[unsafe(no_mangle)] pub static DATA: i32 = 1;",
        "macro_rules! export { () => { #[unsafe(no_mangle)] pub extern \"C\" fn f() {} } }",
    ] {
        assert_eq!(check(source).faults.len(), 1, "{source}");
    }
}
