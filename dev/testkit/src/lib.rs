//! Closed-form oracles, order fits, KS tests, golden files and finite differences for tests.
