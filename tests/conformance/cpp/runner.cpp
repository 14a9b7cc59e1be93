/*
 * The C++ runner: the line protocol over mapstore.hpp. A pure adapter: no defaults, no checks, no retries.
 */
#include <mapstore.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <string>

namespace {

using fields = std::map<std::string, std::string>;

std::map<int, mapstore::store> stores;
std::map<int, mapstore::cancel_token> tokens;
mapstore::batch batch;

std::string decode(std::string_view text) {
    std::string bytes;
    for (std::size_t i = 0; i < text.size(); i++) {
        if (text[i] == '%') {
            bytes += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
            i += 2;
        } else {
            bytes += text[i];
        }
    }
    return bytes;
}

std::string encode(std::string_view bytes) {
    std::string text;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 128 && (std::isalnum(byte) != 0 || (byte != 0 && std::strchr("._~-", byte) != nullptr))) {
            text += c;
        } else {
            char escaped[4];
            std::snprintf(escaped, sizeof escaped, "%%%02X", byte);
            text += escaped;
        }
    }
    return text;
}

int number(const fields &f, const std::string &name) { return std::stoi(f.at(name)); }

std::chrono::milliseconds milliseconds(const fields &f) {
    return std::chrono::milliseconds(std::strtoll(f.at("timeout_ms").c_str(), nullptr, 10));
}

mapstore::call call_of(const fields &f, bool with_timeout) {
    mapstore::call call;
    if (with_timeout && f.count("timeout_ms") != 0)
        call.timeout(milliseconds(f));
    if (f.count("cancel") != 0)
        call.cancel(tokens.at(number(f, "cancel")));
    return call;
}

mapstore::options options_of(const fields &f) {
    mapstore::options options;
    if (f.count("namespace") != 0)
        options.namespace_name(f.at("namespace"));
    if (f.count("kubeconfig") != 0)
        options.kubeconfig(f.at("kubeconfig"));
    if (f.count("context") != 0)
        options.context(f.at("context"));
    if (f.count("cache") != 0)
        options.cache(f.at("cache") == "exclusive" ? mapstore::cache::exclusive : mapstore::cache::none);
    if (f.count("timeout_ms") != 0)
        options.timeout(milliseconds(f));
    if (f.count("text_values") != 0)
        options.text_values(f.at("text_values") == "1");
    if (f.count("binary_only") != 0)
        options.binary_only(f.at("binary_only") == "1");
    if (f.count("strict_lookup") != 0)
        options.strict_lookup(f.at("strict_lookup") == "1");
    return options;
}

std::string wrote(const mapstore::written &written) {
    return " changed=" + std::to_string(written.changed) + " revision=" + encode(written.revision);
}

std::string snapshot(const mapstore::snapshot &map) {
    std::string entries;
    for (const auto &[key, value] : map)
        entries += (entries.empty() ? "" : ",") + encode(key) + ":" + encode(value);
    return " revision=" + encode(map.revision()) + " len=" + std::to_string(map.size()) + " entries=" + entries;
}

std::string keys(const std::vector<std::string> &keys) {
    std::string list;
    for (const auto &key : keys)
        list += (list.empty() ? "" : ",") + encode(key);
    return " keys=" + list;
}

std::string usage(const mapstore::usage &u) {
    return " keys=" + std::to_string(u.keys) + " key_bytes=" + std::to_string(u.key_bytes) +
           " value_bytes=" + std::to_string(u.value_bytes) + " value_limit=" + std::to_string(u.value_limit) +
           " object_bytes=" + std::to_string(u.object_bytes) + " object_limit=" + std::to_string(u.object_limit);
}

/* One more operation of the batch that the next apply applies. */
void add(const std::string &op, const fields &f) {
    if (op == "new")
        batch = mapstore::batch();
    else if (op == "set")
        batch.set(f.at("key"), f.at("value"));
    else if (op == "force_set")
        batch.force_set(f.at("key"), f.at("value"));
    else if (op == "delete")
        batch.erase(f.at("key"));
    else if (op == "truncate")
        batch.truncate();
    else if (op == "if_absent")
        batch.if_absent(f.at("key"));
    else if (op == "if_present")
        batch.if_present(f.at("key"));
    else if (op == "if_equals")
        batch.if_equals(f.at("key"), f.at("value"));
    else if (op == "if_revision")
        batch.if_revision(f.at("revision"));
    else
        throw std::out_of_range("no such op");
}

std::optional<std::string> optional(const fields &f, const std::string &name) {
    const auto found = f.find(name);
    return found == f.end() ? std::nullopt : std::optional(found->second);
}

std::string on_store(const std::string &verb, const fields &f) {
    const auto &store = stores.at(number(f, "store"));
    const auto call = call_of(f, true);
    if (verb == "get") {
        const auto value = store.get(f.at("key"), call);
        return value ? " value=" + encode(value->view()) : " absent=1";
    }
    if (verb == "contains")
        return " present=" + std::to_string(store.contains(f.at("key"), call));
    if (verb == "len")
        return " len=" + std::to_string(store.len(call));
    if (verb == "keys")
        return keys(store.keys(call));
    if (verb == "snapshot")
        return snapshot(store.snapshot(call));
    if (verb == "usage")
        return usage(store.usage(call));
    if (verb == "set")
        return wrote(store.set(f.at("key"), f.at("value"), call));
    if (verb == "force_set")
        return wrote(store.force_set(f.at("key"), f.at("value"), call));
    if (verb == "delete")
        return wrote(store.erase(f.at("key"), call));
    if (verb == "truncate")
        return wrote(store.truncate(call));
    if (verb == "apply")
        return wrote(store.apply(batch, call));
    if (verb == "compare_and_set")
        return wrote(store.compare_and_set(f.at("key"), optional(f, "expected"), optional(f, "value"), call));
    if (verb == "update") {
        const auto change = [&](std::optional<std::string_view> old) {
            auto more = optional(f, "append");
            return more ? std::optional(std::string(old.value_or("")) + *more) : std::nullopt;
        };
        return wrote(store.update(f.at("key"), change, call));
    }
    if (verb == "refresh")
        return store.refresh(call), "";
    if (verb == "close")
        return store.close(), "";
    throw std::out_of_range("no such verb");
}

std::string run(const std::string &verb, const fields &f) {
    if (verb == "open")
        stores.emplace(number(f, "store"), mapstore::store(f.at("name"), options_of(f), call_of(f, false)));
    else if (verb == "verify_connection")
        mapstore::verify_connection(f.at("name"), options_of(f), call_of(f, false));
    else if (verb == "cancel_new")
        tokens.insert_or_assign(number(f, "token"), mapstore::cancel_token());
    else if (verb == "cancel")
        tokens.at(number(f, "token")).cancel();
    else if (verb == "batch")
        add(f.at("op"), f);
    else if (verb == "free")
        stores.erase(number(f, "store"));
    else
        return on_store(verb, f);
    return "";
}

std::string refused(const mapstore::error &e) {
    return "err code=" + std::to_string(e.code()) + " name=" + e.name() + " status=" + std::to_string(e.http_status()) +
           " retryable=" + std::to_string(e.retryable()) + " used=" + std::to_string(e.used()) +
           " limit=" + std::to_string(e.limit()) + " subject=" + encode(e.subject()) + " message=" + encode(e.what());
}

std::string answer(const std::string &line) {
    fields f;
    std::size_t at = line.find(' ');
    const std::string verb = line.substr(0, at);
    while (at != std::string::npos) {
        const std::size_t end = line.find(' ', at + 1);
        const std::string word = line.substr(at + 1, end == std::string::npos ? end : end - at - 1);
        const std::size_t equals = word.find('=');
        f[word.substr(0, equals)] = decode(std::string_view(word).substr(equals + 1));
        at = end;
    }
    try {
        return "ok" + run(verb, f);
    } catch (const mapstore::error &e) {
        return refused(e);
    } catch (const std::exception &e) {
        return std::string("bad ") + e.what();
    }
}

} // namespace

int main() {
    std::string line;
    while (std::getline(std::cin, line) && line != "quit")
        std::cout << answer(line) << std::endl;
    stores.clear();
    return 0;
}
