//! Whatever is shown as a token opens nothing, unless it is one.
use super::{Bench, for_all};
use crate::access::{self, Scope};
use axum::body::Body;
use axum::http::{HeaderValue, Request};
use proptest::prelude::*;

/// A header of any bytes that HTTP lets through; many look like tokens.
fn authorization() -> impl Strategy<Value = Vec<u8>> {
    let alike = "(Bearer|bearer|BEARER|Basic) {1,2}(tally_)?[A-Za-z0-9_-]{40,46}={0,2}".prop_map(String::into_bytes);
    let bytes = prop::collection::vec(prop_oneof![0x20_u8..0x7f, 0x80_u8..=0xff, Just(b'\t')], 0..200);
    prop_oneof![alike, bytes.clone(), bytes.prop_map(|bytes| [b"Bearer tally_".as_slice(), &bytes].concat())]
}

#[test]
fn no_made_up_token_opens_anything() {
    for_all(&authorization(), async |bench: &Bench, header| {
        let request = Request::get("/v1/agents").header("authorization", HeaderValue::from_bytes(&header).unwrap());
        let answer = bench.send(request.body(Body::empty()).unwrap()).await;
        answer.check()?;
        prop_assert_eq!(answer.status.as_u16(), 401);
        Ok(())
    });
}

/// A token in which something was changed: a character, its case, its length, the blanks around it.
#[test]
fn no_token_opens_what_a_slightly_different_one_does() {
    let change = (any::<prop::sample::Index>(), "[A-Za-z0-9_=.'%-]{0,2}");
    for_all(&change, async |bench: &Bench, (place, text)| {
        let token = bench.api.token(None, &[Scope::Read]).await;
        let place = place.index(token.len());
        let other = format!("{}{text}{}", &token[..place], &token[place + 1..]);
        let access = access::authenticate(&bench.app.pool, &bench.app.clock, &other).await.unwrap();
        prop_assert_eq!(access.is_some(), other == token, "{} {}", token, other);
        Ok(())
    });
}

#[tokio::test]
async fn two_authorization_headers_are_no_way_in() {
    let bench = Bench::new().await;
    let request = Request::get("/v1/agents").header("authorization", "Bearer tally_x");
    let request = request.header("authorization", format!("Bearer {}", bench.admin)).body(Body::empty()).unwrap();
    assert_eq!(bench.send(request).await.status, 401);
}
