//! Databases that are not as ours are: other locales, other roles, publications, history from before.
use super::{FOLD, assert_no_ghosts, folded_world, run, text};
use crate::mutations;
use crate::races::world::{CAPTURES, assert_exact, database, fold_exactly, redeclare};
use sqlx::{Connection, Executor, PgConnection};
use tallybook::db::migrate;
use tallybook::{rollup, testing};

#[tokio::test]
async fn m04_reads_are_exact_before_while_and_after_history_is_covered() {
    for capture in CAPTURES {
        let db = database(capture).await;
        let mut conn = db.connect().await;
        redeclare(&mut conn).await;
        assert_exact(&mut conn, "nothing was covered").await;
        for slice in 0.. {
            run(&mut conn, "update task_usage set input_tokens = input_tokens + 1").await;
            assert_exact(&mut conn, "history was corrected").await;
            if rollup::backfill::slice(&db.pool, 1).await.unwrap().is_none() {
                assert!(slice > 1, "history was covered in several slices");
                break;
            }
            assert_exact(&mut conn, "a slice").await;
        }
        rollup::backfill::settle(&db.pool).await.unwrap();
        fold_exactly(&mut conn, "all was covered").await;
    }
}

#[tokio::test]
async fn m14_no_locale_and_no_collation_decides_what_is_equal() {
    // Some builds of PostgreSQL come without ICU, or without the extensions: with those nobody can have what they bring.
    let scratch = testing::empty_database().await;
    let alike = "create collation alike (provider = icu, locale = 'und-u-ks-level1', deterministic = false)";
    let has_icu = scratch.pool.execute(alike).await.is_ok();
    let has_citext = scratch.pool.execute("create extension citext").await.is_ok();
    let retype = |to: &str| format!("alter table task_usage alter model type {to}, alter provider type {to}");
    let mut hosts = vec!["select 1".to_owned()];
    hosts.extend(has_icu.then(|| format!("{alike}; {}", retype("text collate alike"))));
    hosts.extend(has_citext.then(|| format!("create extension citext; {}", retype("citext"))));
    let turkic = ["tr-TR", "az"].map(|locale| format!("locale_provider icu icu_locale '{locale}' locale 'C.UTF-8'"));
    for options in [String::new()].into_iter().chain(turkic).take(if has_icu { 3 } else { 1 }) {
        let db = testing::empty_database_with(&options).await;
        migrate::up_with(&db.pool, &mutations::migrations()).await.unwrap();
        db.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
        let mut conn = db.connect().await;
        for (round, host) in (1..).zip(&hosts) {
            run(&mut conn, host).await;
            for (provider, model) in [("CLAUDE I", "opus"), ("claude i", "Opus"), ("Claude İ", "OPUS"), ("claude ı", "öpüs")]
            {
                run(
                    &mut conn,
                    &format!(
                        "insert into task_usage (task_id, provider, model, event_key, input_tokens)
                     select id, '{provider}', '{model}', gen_random_uuid()::text, 7 from agent_task_queue limit 1"
                    ),
                )
                .await;
            }
            run(&mut conn, "update task_usage set input_tokens = input_tokens + 1 where provider::text collate \"C\" like 'C%'")
                .await;
            for folded in [false, true] {
                let providers = "select string_agg(provider || ': ' || events, ', ' order by provider) from (
                    select provider, sum(event_count) as events from tallybook.task_usage_daily_now where provider like 'claude%' group by provider) x";
                let expected = format!("claude i: {}, claude İ: {round}, claude ı: {round}", 2 * round);
                assert_eq!(text(&mut conn, providers).await, expected, "{options} {host} {folded}");
                let models = "select count(distinct model) from tallybook.task_usage_daily_now where provider like 'claude%'";
                assert_eq!(text(&mut conn, models).await, "4", "{options} {host} {folded}");
                assert!(rollup::verify::verify(&db.pool).await.unwrap().exact(), "{options} {host} {folded}");
                run(&mut conn, FOLD).await;
            }
        }
    }
}

/// Names of the writer's, first in its path, that would run in the place of what capture calls.
const HIJACK: &str = "
    create function evil.hijacked() returns int language plpgsql as $$ begin raise exception 'hijacked as %', current_user; end $$;
    create function evil.bucket(timestamptz) returns timestamptz language sql as 'select null::timestamptz from (select evil.hijacked()) x';
    do $$
    declare
      o record;
    begin
      for o in select oid, oprname, oprleft::regtype as l, oprright::regtype as r, oprresult::regtype as result from pg_operator
        where oprnamespace = 'pg_catalog'::regnamespace and oprname in ('=', '<>', '<', '>', '+', '-', '~')
          and array[nullif(oprleft, 0), oprright] <@ array[null, 'bool', 'text', 'uuid', 'timestamptz', 'int4', 'int8', 'numeric']::regtype[]::oid[] loop
        execute format('create function evil.operate_%s(%s) returns %s language plpgsql as ''begin return evil.hijacked(); end''', o.oid,
          concat_ws(', ', nullif(o.l::oid, 0)::regtype, o.r), o.result);
        execute format('create operator evil.%s (%s rightarg = %s, function = evil.operate_%s)', o.oprname,
          case when o.l::oid <> 0 then format('leftarg = %s,', o.l) else '' end, o.r, o.oid);
      end loop;
    end $$;
    create function evil.count() returns bigint language sql as 'select evil.hijacked()';
    create function evil.sum(integer) returns bigint language sql as 'select evil.hijacked()';
    create function evil.sum(bigint) returns numeric language sql as 'select evil.hijacked()';
    create function evil.sum(numeric) returns numeric language sql as 'select evil.hijacked()';
    create function evil.lower(text) returns text language sql as 'select evil.hijacked()::text';
    create function evil.pg_current_xact_id() returns xid8 language sql as 'select null::xid8 from (select evil.hijacked()) x';
    create function evil.clock_timestamp() returns timestamptz language sql as 'select null::timestamptz from (select evil.hijacked()) x';
    create domain pg_temp.numeric as text check (evil.hijacked() = 1);
    create domain pg_temp.text as varchar check (evil.hijacked() = 1);
    create temp table usage_change (like task_usage);
    create temp table agent_task_queue (id uuid);
    set search_path = pg_temp, evil, pg_catalog";

#[tokio::test]
async fn m15_a_writer_s_own_names_do_not_run_with_our_rights() {
    for capture in CAPTURES {
        let (db, mut conn) = folded_world(capture).await;
        let role = format!("writer_{}", uuid::Uuid::new_v4().simple());
        run(&mut conn, &format!("create role {role} login password 'writer'; grant select, insert, update, delete on all tables in schema public to {role}; create schema evil authorization {role}")).await;
        let mut writer = PgConnection::connect_with(&db.options().username(&role).password("writer")).await.unwrap();
        writer.execute(HIJACK).await.unwrap();
        for write in [
            "insert into public.task_usage (task_id, provider, model, event_key, input_tokens) values (public.the('task 1'), 'Claude', 'opus', 'hijack', 3)",
            "update public.task_usage set input_tokens = input_tokens operator(pg_catalog.+) 4",
            "update public.task_usage set model = 'other' where event_key operator(pg_catalog.=) 'hijack'",
            "update public.agent_task_queue set runtime_id = null where id operator(pg_catalog.=) public.the('task 1')",
            "update public.agent set workspace_id = public.the('workspace 2')",
            "update public.issue set project_id = null",
            "delete from public.task_usage where event_key operator(pg_catalog.=) 'hijack'",
        ] {
            run(&mut writer, write).await;
            assert_exact(&mut conn, write).await;
        }
        writer.close().await.unwrap();
        assert_no_ghosts(&mut conn, "what a writer did with names of its own").await;
        run(&mut conn, &format!("drop owned by {role}; drop role {role}")).await;
    }
}

#[tokio::test]
async fn m16_a_host_s_publications_and_sequences_are_left_alone() {
    for capture in CAPTURES {
        let (_db, mut conn) = folded_world(capture).await;
        run(&mut conn, "create publication everything for all tables; create sequence host; select setval('host', 41); select nextval('host')").await;
        run(&mut conn, "update task_usage set input_tokens = input_tokens + 1; update agent_task_queue set runtime_id = null")
            .await;
        run(&mut conn, "select tallybook.rebuild('-infinity', 'infinity')").await;
        assert_no_ghosts(&mut conn, "all tables are published").await;
        assert_eq!(text(&mut conn, "select lastval()").await, "42");
        let public: String = text(
            &mut conn,
            "select coalesce(string_agg(oid::regprocedure::text, ', '), '') from pg_proc
             where pronamespace = 'tallybook'::regnamespace and has_function_privilege('public', oid, 'execute')",
        )
        .await;
        assert_eq!(public, "", "functions that anybody may call");
    }
}
