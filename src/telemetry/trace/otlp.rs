//! Gathers the spans of [`span`] and sends them, in the background, in batches.
use super::Error;
use crate::telemetry::span;
use axum::http::HeaderMap;
use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::env;
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

/// What traces say they are from, unless a variable says otherwise.
const SERVICE_NAME: &str = "tallybook";
/// The way in which spans travel.
const PROTOCOL: &str = "http/protobuf";

/// What is traced, until it is dropped: then what has been gathered is sent.
#[derive(Debug)]
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// A layer that hears spans, if the environment asks for traces.
    pub(crate) fn layer<S>() -> Result<(Option<impl Layer<S>>, Self), Error>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        if !is_wanted() {
            return Ok((None, Self(None)));
        }
        let provider = provider()?;
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(SERVICE_NAME))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(span::TARGET, Level::TRACE));
        Ok((Some(layer), Self(Some(provider))))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.take().map(|provider| provider.shutdown()) {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// Goes on with the trace that the headers name (W3C Trace Context).
pub(crate) fn go_on(span: &Span, headers: &HeaderMap) {
    if !span.is_disabled() {
        let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        // Fails for a span that nobody hears: then there is nothing to go on with.
        drop(span.set_parent(parent));
    }
}

fn is_wanted() -> bool {
    let says = |variable: &str, value: &str| env::var(variable).is_ok_and(|given| given.eq_ignore_ascii_case(value));
    let is_set = |variable: &str| env::var_os(variable).is_some_and(|value| !value.is_empty());
    !says("OTEL_SDK_DISABLED", "true")
        && !says("OTEL_TRACES_EXPORTER", "none")
        && ["OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"].into_iter().any(is_set)
}

fn provider() -> Result<SdkTracerProvider, Error> {
    for variable in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        match env::var(variable) {
            Ok(value) if !value.is_empty() && value != PROTOCOL => return Err(Error::Protocol { variable, value }),
            _ => {}
        }
    }
    // Fails where somebody has chosen a provider before us: that one does as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build();
    let exporter = exporter.map_err(|error| Error::Exporter(error.to_string()))?;
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build())
}

fn resource() -> Resource {
    let resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let is_named = env::var_os("OTEL_SERVICE_NAME").is_some()
        || env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|attributes| attributes.contains("service.name="));
    if is_named { resource.build() } else { resource.with_service_name(SERVICE_NAME).build() }
}
