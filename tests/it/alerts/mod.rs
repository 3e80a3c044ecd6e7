//! What is decided reaches whom it concerns: an Alertmanager, the training job, nobody where input is broken.

mod alertmanager;
mod broken_input;
mod retraining;
