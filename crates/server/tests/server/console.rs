//! The console as browsers get it: files, pages, what keeps them to themselves, and the path below which they are.

use axum::http::StatusCode;
use reqwest::{Method, Response};

use crate::support::{House, answer, house, house_of, house_with};

const SCRIPT: &str = "/assets/app-1a2b.js";

async fn get(house: &House, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = house.bare(Method::GET, path);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    request.send().await.unwrap()
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

async fn text(response: Response) -> String {
    response.text().await.unwrap()
}

#[tokio::test]
async fn the_front_page_and_each_page_are_the_console_and_nothing_else_is() {
    let house = house().await;
    for path in [
        "/",
        "/signin",
        "/builds",
        "/builds/6f1c2d7e-0000-4000-8000-000000000000?tab=trace",
        "/traces/771a43a4192642f0b136d5159a501700",
        "/explore",
        "/dashboards/",
        "/dashboards/mine",
        "/runners",
    ] {
        let response = get(&house, path, &[]).await;
        assert_eq!(response.status().as_u16(), 200, "{path}");
        assert_eq!(
            header(&response, "content-type"),
            "text/html; charset=utf-8"
        );
        assert_eq!(header(&response, "cache-control"), "no-cache");
        assert!(
            text(response).await.contains("<base href=\"/\" />"),
            "{path}"
        );
    }
    for path in [
        "/nowhere",
        "/index.html",
        "/api",
        "/api/nowhere",
        "/builds/a/b",
        "/assets",
        "/assets/",
        "/assets/other.js",
        "/assets/%2e%2e/index.html",
        "//builds",
    ] {
        let (status, body) = answer(house.bare(Method::GET, path)).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(body["code"], "not_found", "{path}");
    }
    let (status, _) = answer(house.bare(Method::POST, "/builds")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_page_runs_and_loads_what_this_server_serves_and_nothing_else() {
    let house = house().await;
    for path in ["/", "/runners", SCRIPT] {
        let response = get(&house, path, &[]).await;
        let policy = header(&response, "content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|it| it == part), "{path}: {policy}");
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{policy}"
        );
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_eq!(header(&response, "referrer-policy"), "no-referrer");
        assert!(header(&response, "permissions-policy").contains("camera=()"));
    }
}

#[tokio::test]
async fn files_come_as_the_browser_takes_them_and_are_kept() {
    let house = house().await;
    for (accepted, coding, content) in [
        ("", "", "console.log(1)"),
        ("gzip, deflate", "gzip", "in gzip"),
        ("gzip, deflate, br, zstd", "br", "in brotli"),
        ("br;q=0, gzip;q=0", "", "console.log(1)"),
    ] {
        let response = get(&house, SCRIPT, &[("accept-encoding", accepted)]).await;
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(header(&response, "content-encoding"), coding, "{accepted}");
        assert_eq!(
            header(&response, "content-type"),
            "text/javascript; charset=utf-8"
        );
        assert_eq!(
            header(&response, "cache-control"),
            "public, max-age=31536000, immutable"
        );
        let varies = response.headers().get_all("vary").iter();
        assert!(varies.into_iter().any(|it| it == "Accept-Encoding"));
        assert_eq!(text(response).await, content);
    }
    for path in ["/", SCRIPT] {
        let tag = header(&get(&house, path, &[]).await, "etag").to_owned();
        let again = get(&house, path, &[("if-none-match", &tag)]).await;
        assert_eq!(again.status().as_u16(), 304, "{path}");
        let other = get(&house, path, &[("if-none-match", "\"other\"")]).await;
        assert_eq!(other.status().as_u16(), 200, "{path}");
    }
}

#[tokio::test]
async fn below_a_path_everything_is_served_with_and_without_it() {
    let house = house_with(|options| {
        options.base_path = Some("/tools/hopline".parse().unwrap());
    })
    .await;
    let mut tags = Vec::new();
    for prefix in ["", "/tools/hopline"] {
        for path in ["/", "/runners"] {
            let page = get(&house, &format!("{prefix}{path}"), &[]).await;
            tags.push(header(&page, "etag").to_owned());
            assert!(
                text(page)
                    .await
                    .contains("<base href=\"/tools/hopline/\" />")
            );
        }
        let script = get(&house, &format!("{prefix}{SCRIPT}"), &[]).await;
        assert_eq!(script.status().as_u16(), 200);
        let path = format!("{prefix}/api/projects?x=1");
        let (status, projects) = house.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{projects}");
        let (status, _) = answer(house.bare(Method::GET, &path)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    tags.dedup();
    assert_eq!(tags.len(), 1);
    let without_slash = get(&house, "/tools/hopline", &[]).await;
    assert_eq!(without_slash.status().as_u16(), 200);
    let (_, description) = house.get("/tools/hopline/openapi.json").await;
    assert_eq!(description["servers"][0]["url"], "/tools/hopline/");
    for path in [
        "/tools",
        "/tools/hoplines/runners",
        "/tools/hopline/api/nowhere",
    ] {
        let (status, _) = answer(house.bare(Method::GET, path)).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_browser_signs_in_and_out_below_the_path_that_it_knows() {
    let house = house_with(|options| {
        options.public_url = Some("https://hopline.example/tools/hopline/".into());
    })
    .await;
    let link = house.server.one_time_link();
    let path = link.strip_prefix("https://hopline.example").unwrap();
    assert!(path.starts_with("/tools/hopline/signin?code="), "{path}");
    let signed_in = get(&house, path, &[]).await;
    assert_eq!(signed_in.status().as_u16(), 303);
    assert_eq!(header(&signed_in, "location"), "/tools/hopline/");
    let cookie = header(&signed_in, "set-cookie").to_owned();
    for part in [
        "Path=/tools/hopline;",
        "HttpOnly",
        "SameSite=Strict",
        "Secure",
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let signed_out = house.bare(Method::POST, "/tools/hopline/signout");
    let signed_out = signed_out.send().await.unwrap();
    // Also one from before the server had this path.
    let ended: Vec<_> = signed_out.headers().get_all("set-cookie").iter().collect();
    assert_eq!(ended.len(), 2, "{ended:?}");
    for (ended, path) in ended.iter().zip(["Path=/tools/hopline;", "Path=/;"]) {
        let ended = ended.to_str().unwrap();
        assert!(
            ended.contains(path) && ended.contains("Max-Age=0"),
            "{ended}"
        );
    }

    let name = cookie.split('=').next().unwrap();
    let right = cookie.split(';').next().unwrap();
    for cookies in [
        format!("{right}; {name}=old"),
        format!("{name}=old; {right}"),
    ] {
        let request = house.bare(Method::GET, "/api/projects");
        let (status, _) = answer(request.header("cookie", &cookies)).await;
        assert_eq!(status, StatusCode::OK, "{cookies}");
    }
}

#[tokio::test]
async fn a_link_that_was_used_leads_people_to_where_they_sign_in_and_tells_programs() {
    let house = house().await;
    let link = house.server.one_time_link();
    let path = &link[link.find("/signin").unwrap()..];
    let first = get(&house, path, &[]).await;
    assert_eq!(
        (first.status().as_u16(), header(&first, "location")),
        (303, "/")
    );
    let page = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let again = get(&house, path, &page).await;
    assert_eq!(again.status().as_u16(), 303);
    assert_eq!(header(&again, "location"), "/signin?reason=link_used");
    assert_eq!(header(&again, "set-cookie"), "");
    let (status, body) = answer(house.bare(Method::GET, path)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(body["code"], "link_used");
}

#[tokio::test]
async fn a_program_without_a_console_says_at_the_front_how_to_get_one() {
    let house = house_of(|_| {}, &[]).await;
    for path in ["/", "/signin"] {
        let response = get(&house, path, &[]).await;
        assert_eq!(response.status().as_u16(), 200);
        assert!(header(&response, "content-security-policy").contains("default-src 'none'"));
        assert!(text(response).await.contains("make build"), "{path}");
    }
    let (status, body) = answer(house.bare(Method::GET, "/runners")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(body["code"], "not_found");
}
