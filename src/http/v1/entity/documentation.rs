//! What the OpenAPI document says of endpoints that exist once for every kind of entity.
use crate::entity::Entity;
use crate::http::openapi::{SECURITY, problems};
use serde_json::json;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, Paths};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, HttpMethod, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

/// Named schemas of an endpoint.
pub(super) type Schemas = Vec<(String, RefOr<Schema>)>;

/// The schema of `T` by name, and all that it needs, noted in `schemas`.
pub(super) fn named<T: ToSchema + PartialSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
    Ref::from_schema_name(T::name()).into()
}

/// An operation on one entity, or on all of a kind.
pub(super) fn operation<E: Entity>(verb: &str, one: bool, summary: String, description: String) -> OperationBuilder {
    let subject = if one { E::ONE } else { E::MANY };
    let operation = OperationBuilder::new()
        .tag(E::MANY)
        .operation_id(Some(format!("{verb}_{subject}")))
        .summary(Some(summary))
        .description(Some(description))
        .security(SecurityRequirement::new(SECURITY, Vec::<String>::new()));
    let id = ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(format!("The {}'s id.", E::ONE)))
        .schema(Some(uuid_schema()));
    if one { operation.parameter(id) } else { operation }
}

/// A query parameter that may be left out.
pub(super) fn query(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

pub(super) fn uuid_schema() -> Schema {
    let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build().into()
}

pub(super) fn boolean_schema() -> Schema {
    ObjectBuilder::new().schema_type(Type::Boolean).default(Some(json!(false))).build().into()
}

/// An answer with a JSON body.
pub(super) fn answer(description: &str, schema: RefOr<Schema>) -> Response {
    ResponseBuilder::new().description(description).content("application/json", Content::new(Some(schema))).build()
}

/// The operation at its path, with the problems that it may answer.
pub(super) fn paths(path: &str, method: HttpMethod, operation: OperationBuilder, statuses: &[(u16, &str)]) -> Paths {
    let operation: Operation = problems(statuses)
        .into_iter()
        .fold(operation, |operation, (status, response)| operation.response(status, response))
        .build();
    let mut paths = Paths::new();
    paths.add_path_operation(path, vec![method], operation);
    paths
}
