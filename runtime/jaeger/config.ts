import { stringify } from 'yaml';

/** Ports on 127.0.0.1. */
export interface JaegerPorts {
  /** UI and its API. */
  readonly ui: number;
  /** OTLP over HTTP. */
  readonly otlp: number;
  /** The API over gRPC, which Jaeger always opens beside. */
  readonly grpc: number;
}

/** Spans of one run; the oldest traces go first. */
const MAX_TRACES = 50_000;

/**
 * Jaeger 2's configuration: loopback only, traces in memory, no receiver but OTLP over HTTP, no
 * telemetry of its own (it would report itself as a service between ours).
 */
export function renderJaegerConfig(ports: JaegerPorts): string {
  const on = (port: number): string => `127.0.0.1:${port}`;
  return stringify({
    service: {
      extensions: ['jaeger_storage', 'jaeger_query'],
      pipelines: {
        traces: {
          receivers: ['otlp'],
          processors: ['batch'],
          exporters: ['jaeger_storage_exporter'],
        },
      },
      telemetry: { metrics: { level: 'none' }, logs: { level: 'warn' } },
    },
    extensions: {
      jaeger_storage: { backends: { memory: { memory: { max_traces: MAX_TRACES } } } },
      jaeger_query: {
        storage: { traces: 'memory' },
        enable_tracing: false,
        http: { endpoint: on(ports.ui) },
        grpc: { endpoint: on(ports.grpc) },
      },
    },
    receivers: { otlp: { protocols: { http: { endpoint: on(ports.otlp) } } } },
    processors: { batch: { timeout: '200ms' } },
    exporters: { jaeger_storage_exporter: { trace_storage: 'memory' } },
  });
}
