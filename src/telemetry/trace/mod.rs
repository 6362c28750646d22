//! OpenTelemetry traces over OTLP, in builds with the feature `otel`; in others this is nothing.
//!
//! Configured by the standard variables alone: <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>.
//! Nothing is sent unless one of them says where to, or that it should be.
#[cfg(feature = "otel")]
mod otlp;

#[cfg(feature = "otel")]
pub(crate) use otlp::{Traces, go_on};

/// Why no traces can be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They would have to travel in another way than we know.
    #[error(
        "{variable} is {value:?}, and traces can be sent as \"http/protobuf\" alone; unset it, or have the collector take that"
    )]
    Protocol {
        /// Which variable says so.
        variable: &'static str,
        /// What it says.
        value: String,
    },
    /// The exporter cannot be made of what the variables say.
    #[error("traces cannot be sent as the OTEL_ variables say: {0}")]
    Exporter(String),
}

#[cfg(not(feature = "otel"))]
pub(crate) use without::{Traces, go_on};

#[cfg(not(feature = "otel"))]
mod without {
    use super::Error;
    use axum::http::HeaderMap;
    use tracing::{Span, Subscriber};
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::Identity;

    /// Nothing is traced.
    #[derive(Debug)]
    pub(crate) struct Traces;

    impl Traces {
        #[expect(clippy::unnecessary_wraps, reason = "with the feature it may fail")]
        pub(crate) fn layer<S: Subscriber>() -> Result<(Option<impl Layer<S>>, Self), Error> {
            Ok((None::<Identity>, Self))
        }
    }

    pub(crate) fn go_on(_: &Span, _: &HeaderMap) {}
}
