//! Living inside somebody else's process: threads, deadlines, forks. This is the
//! lowest floor: nothing here knows of maps or servers.

pub(crate) mod blocking;
pub(crate) mod cancel;
pub(crate) mod deadline;
pub mod panics;
pub(crate) mod process;
pub(crate) mod resources;
pub(crate) mod runtime;
pub(crate) mod startup;
pub(crate) mod thread;
