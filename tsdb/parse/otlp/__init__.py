"""OpenTelemetry metrics: bodies of OTLP to columns, as Prometheus' receiver names them."""
