//! Living inside somebody else's process: threads, deadlines, forks. The lowest
//! floor: it knows nothing of maps or servers.

pub(crate) mod cancel;
pub(crate) mod deadline;
pub(crate) mod process;
pub(crate) mod runtime;
