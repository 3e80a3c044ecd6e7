//! Models: padding, and what real ones answer when an ONNX Runtime is at hand.
