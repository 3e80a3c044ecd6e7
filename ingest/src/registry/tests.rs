//! The registry, answered by a server of three routes.
