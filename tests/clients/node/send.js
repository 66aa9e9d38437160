// Sends one of each instrument with OpenTelemetry's JSON exporter to the URL in argv.
const { OTLPMetricExporter } = require("@opentelemetry/exporter-metrics-otlp-http");
const { MeterProvider, PeriodicExportingMetricReader } = require("@opentelemetry/sdk-metrics");
const { resourceFromAttributes } = require("@opentelemetry/resources");

const resource = resourceFromAttributes({
  "service.name": "shop",
  "service.instance.id": "n1",
  zone: "z",
});
const exporter = new OTLPMetricExporter({ url: process.argv[2] });
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
const provider = new MeterProvider({ resource, readers: [reader] });
const meter = provider.getMeter("test");
meter.createCounter("orders", { unit: "1" }).add(3, { "pay.by": "card" });
meter.createUpDownCounter("carts").add(-2);
meter.createHistogram("wait", { unit: "s" }).record(0.3);
meter.createObservableGauge("heat", { unit: "Cel" }).addCallback((seen) => seen.observe(21.5));
provider.forceFlush().then(() => provider.shutdown());
