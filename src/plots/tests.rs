//! Pictures that parse, say what they show, hold whatever captures may bring, and stay small.
