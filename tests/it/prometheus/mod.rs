//! What `deploy/` gives to Prometheus and Grafana, held against what the service exposes.

mod dashboards;
mod promql;
mod rule_files;
