//! The budget against an independent implementation in Python.
