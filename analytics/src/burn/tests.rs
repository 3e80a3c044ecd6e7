//! Burn rates and broken input, pane by pane.
