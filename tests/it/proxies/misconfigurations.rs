//! What operators change in a configuration, or take over from another, and what it opens.

use crate::proxies::Kind;

/// What is written in place of what, where `UPSTREAM` stands for the application's address, and the
/// check that fails first for it.
type Fault = (&'static [(&'static str, &'static str)], &'static str);

const LOGIN: &str = "a stranger is sent to the login";
const PATHS: &str = "every other path leads a stranger to the login too";
const WHO: &str = "a stranger cannot say who they are";
const WHAT: &str = "a stranger cannot say what they ask for";
const HOSTS: &str = "no spelling of the host gets past the check";
const TARGETS: &str = "a stranger gets nothing by malformed targets";
const FORGED: &str = "a made-up session is refused";
const OVER: &str = "a session is over after log-out";
const IDENTITY: &str = "the application gets no identity from the visitor";
const SESSION: &str = "the application does not get the session";
const VISITED: &str = "a visitor gets nothing by malformed targets";
const UPGRADE: &str = "Upgrade opens nothing but a WebSocket";
const CONNECT: &str = "CONNECT and TRACE are refused";
const CONNECTION: &str = "Connection names none of the application's fields";
const NAMES: &str = "a field name of more than letters, digits and hyphens does not pass";

pub(super) fn of(kind: Kind) -> &'static [Fault] {
    match kind {
        Kind::Nginx => &NGINX,
        Kind::Caddy => &CADDY,
        Kind::Haproxy => &HAPROXY,
    }
}

const NGINX_LAX: [(&str, &str); 2] = [
    ("auth-request?strict;", "auth-request;"),
    ("forward-auth?strict?", "forward-auth?"),
];

const NGINX: [Fault; 19] = [
    (&[("auth_request /auth_user/check;", "")], LOGIN),
    (
        &[(
            "rewrite ^ /api/authz/forward-auth?strict? break;",
            "if ($http_x_forwarded_host) { return 302 https://$http_x_forwarded_host/; }\n\
             rewrite ^ /api/authz/forward-auth?strict? break;",
        )],
        WHAT,
    ),
    (
        &[(
            "auth_request /auth_user/check;",
            "auth_request /auth_user/check; if ($http_remote_user) { return 200 secret; }",
        )],
        WHO,
    ),
    (
        &[(
            "    location = /auth_user/check {",
            "location = /b { proxy_pass http://UPSTREAM; }\nlocation = /auth_user/check {",
        )],
        TARGETS,
    ),
    (
        &[("X-Forwarded-Uri $request_uri;", "X-Forwarded-Uri /;")],
        PATHS,
    ),
    (
        &[("proxy_set_header Remote-User $auth_user_user;", "")],
        IDENTITY,
    ),
    (&[NGINX_LAX[0], NGINX_LAX[1]], IDENTITY),
    // The check refuses such a name once it sees it.
    (
        &[("underscores_in_headers off;", "underscores_in_headers on;")],
        WHO,
    ),
    (
        &[
            NGINX_LAX[0],
            NGINX_LAX[1],
            ("underscores_in_headers off;", "underscores_in_headers on;"),
        ],
        NAMES,
    ),
    (
        &[
            NGINX_LAX[0],
            NGINX_LAX[1],
            ("ignore_invalid_headers on;", "ignore_invalid_headers off;"),
        ],
        NAMES,
    ),
    (
        &[("proxy_set_header Cookie $auth_user_cookies;", "")],
        SESSION,
    ),
    (
        &[
            (r"[ \t]*)__Secure-session", " *)__Secure-session"),
            (
                r"(?:^|;)[ \t]*__Secure-session",
                "(?:^|;) *__Secure-session",
            ),
        ],
        SESSION,
    ),
    // Asked about as nginx reads it, by its host alone, and without its first segment.
    (
        &[(
            "$request_uri;\n        proxy_set_header X-Original-Method",
            "$uri;\n        proxy_set_header X-Original-Method",
        )],
        VISITED,
    ),
    (
        &[(
            "$request_uri;\n        proxy_set_header X-Original-Method",
            "/;\n        proxy_set_header X-Original-Method",
        )],
        VISITED,
    ),
    (
        &[
            (
                "        internal;",
                "        internal;\n set $rest /; if ($request_uri ~ \"^/[^/]+(/.*)$\") { set $rest $1; }",
            ),
            (
                "$request_uri;\n        proxy_set_header X-Original-Method",
                "$rest;\n        proxy_set_header X-Original-Method",
            ),
        ],
        VISITED,
    ),
    (
        &[
            ("Upgrade $auth_user_upgrade;", "Upgrade $http_upgrade;"),
            (
                "Connection $auth_user_connection;",
                "Connection $http_connection;",
            ),
        ],
        UPGRADE,
    ),
    (
        &[(
            "'HTTP/1.1 GET websocket' websocket;",
            "'~*websocket' $http_upgrade;",
        )],
        UPGRADE,
    ),
    (&[("proxy_set_header HTTP2-Settings \"\";", "")], UPGRADE),
    (
        &[(
            "Connection $auth_user_connection;",
            "Connection $http_connection;",
        )],
        CONNECTION,
    ),
];

const CADDY_LAX: (&str, &str) = ("forward-auth?strict", "forward-auth");

const CADDY: [Fault; 11] = [
    (&[("request_header -*_*", "")], WHO),
    (&[("request_header -*_*", ""), CADDY_LAX], NAMES),
    (&[("request_header -*.*", ""), CADDY_LAX], NAMES),
    (&[("request_header -X-WebAuth-*", ""), CADDY_LAX], IDENTITY),
    (
        &[(
            "[ \\t]*__Secure-session[ \\t]*=[^;]*()",
            " *__Secure-session=[^;]*()",
        )],
        SESSION,
    ),
    (
        &[
            ("request_header @auth_user_other -Upgrade", ""),
            ("request_header @auth_user_other -Connection", ""),
        ],
        UPGRADE,
    ),
    (
        &[
            ("(?i)^websocket$", "(?i)websocket"),
            ("request_header @auth_user_websocket Upgrade websocket", ""),
        ],
        UPGRADE,
    ),
    (&[("request_header -HTTP2-Settings", "")], UPGRADE),
    (
        &[(
            "respond @auth_user_tunnel 405",
            "reverse_proxy @auth_user_tunnel UPSTREAM",
        )],
        CONNECT,
    ),
    (
        &[("request_header @auth_user_other -Connection", "")],
        CONNECTION,
    ),
    (
        &[(
            "    route {\n        # Caddy before",
            "    route {\n        uri path_regexp ^/[^/]+/ /\n        # Caddy before",
        )],
        PATHS,
    ),
];

/// What in a backend asks, and lets nobody through who was not admitted.
const ASKS: &str = "lua.auth_user\n    http-request deny deny_status 503 unless {";
const REFUSED: &str = "http-request deny deny_status 405 if { method -m str -i CONNECT TRACE }";

const WITHOUT_PATH: &str = "http-request deny deny_status 400 unless { path -m beg / }";

const HAPROXY: [Fault; 15] = [
    (
        &[(
            ASKS,
            "lua.auth_user if { req.hdr(host) -m beg app. }\n    \
             http-request deny deny_status 503 unless { req.hdr(host) -m beg APP. } or {",
        )],
        HOSTS,
    ),
    (
        &[(
            ASKS,
            "lua.auth_user unless { req.cook(__Secure-session) -m found }\n    \
             http-request deny deny_status 503 unless { req.cook(__Secure-session) -m found } or {",
        )],
        FORGED,
    ),
    (
        &[(
            ASKS,
            "lua.auth_user unless { req.cook(__Secure-session) -m found }\n    \
             http-request deny deny_status 503 unless { req.cook(__Secure-session) -m found } or {",
        )],
        OVER,
    ),
    // WebSockets are let through unasked, and methods that tunnel or tell.
    (
        &[(
            ASKS,
            "lua.auth_user unless { var(txn.auth_user_websocket) -m bool }\n    \
             http-request deny deny_status 503 unless { var(txn.auth_user_websocket) -m bool } or {",
        )],
        UPGRADE,
    ),
    (
        &[
            (REFUSED, ""),
            (WITHOUT_PATH, ""),
            (
                ASKS,
                "lua.auth_user unless METH_CONNECT\n    \
                 http-request deny deny_status 503 unless METH_CONNECT or {",
            ),
        ],
        CONNECT,
    ),
    (
        &[
            (REFUSED, ""),
            (
                ASKS,
                "lua.auth_user unless METH_TRACE\n    \
                 http-request deny deny_status 503 unless METH_TRACE or {",
            ),
        ],
        CONNECT,
    ),
    (
        &[
            ("http-request del-header Upgrade\n", "\n"),
            ("http-request del-header Connection\n", "\n"),
        ],
        UPGRADE,
    ),
    (
        &[("http-request del-header HTTP2-Settings\n", "\n")],
        UPGRADE,
    ),
    (
        &[("http-request del-header Connection\n", "\n")],
        CONNECTION,
    ),
    (
        &[("http-request del-header '[^A-Za-z0-9-]' -m reg", "")],
        NAMES,
    ),
    (&[("http-request del-header Remote- -m beg", "")], IDENTITY),
    // Asked about by its first segment, or with its dots resolved.
    (
        &[("{ txn.sf:pathq() }", "{ txn.sf:pathq():match('^/[^/]*') }")],
        PATHS,
    ),
    (
        &[(
            "{ txn.sf:pathq() }",
            "{ (txn.sf:pathq():gsub('/[^/]+/%.%./', '/')) }",
        )],
        VISITED,
    ),
    (
        &[(
            "set-header Strict-Transport-Security max-age=63072000",
            "set-header Server nginx/1.18.0",
        )],
        "the proxy has no known hole",
    ),
    (
        &[(
            "set-header Strict-Transport-Security max-age=63072000",
            "set-header Date \"Wed, 21 Oct 2015 07:28:00 GMT\"",
        )],
        "its clock and the one here agree",
    ),
];
