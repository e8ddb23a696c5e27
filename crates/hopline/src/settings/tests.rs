use super::*;
use figment::error::Kind;
use std::fs;

#[derive(Serialize)]
struct Group {
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_rate: Option<f64>,
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn loaded(pairs: &[(&str, &str)], folder: &Path) -> Result<Settings, SettingsError> {
    let mut pairs = pairs.to_vec();
    pairs.push(("HOME", "/nowhere"));
    load(Flags::default(), environment(&pairs), folder)
}

fn problem(pairs: &[(&str, &str)], folder: &Path) -> String {
    loaded(pairs, folder).unwrap_err().to_string()
}

#[test]
fn every_field_has_a_variable() {
    let unknown = Figment::from(("no such key", 1)).extract::<Settings>();
    let Kind::UnknownField(_, fields) = unknown.unwrap_err().kind else {
        panic!("an unknown key was taken");
    };
    let mut keys: Vec<_> = KEYS.iter().map(|(key, _)| *key).collect();
    let mut fields = fields.to_vec();
    keys.sort_unstable();
    fields.sort_unstable();
    assert_eq!(keys, fields);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(
        data.join(FILE),
        "sample_rate = 0.1\nrelease = \"in data\"\nenvironment = \"x\"\n",
    )
    .unwrap();
    fs::write(
        folder.path().join(FILE),
        "data = \"data\"\nsample_rate = 0.2\nrelease = \"here\"\n",
    )
    .unwrap();
    let variables = environment(&[("HOPLINE_SAMPLE_RATE", "0.3")]);
    let without = load(Flags::default(), variables.clone(), folder.path()).unwrap();
    assert_eq!(without.sample_rate.0, 0.3);
    assert_eq!(without.release.as_deref(), Some("here"));
    assert_eq!(without.environment.as_deref(), Some("x"));
    assert_eq!(without.data_folder(), data);
    let group = Group {
        sample_rate: Some(0.4),
    };
    let with = load(Flags::default().with(&group), variables, folder.path()).unwrap();
    assert_eq!(with.sample_rate.0, 0.4);
}

#[test]
fn the_originals_variables_work_and_yield_to_our_own() {
    let folder = tempfile::tempdir().unwrap();
    let pairs = [
        ("RUNNER_SHARED_SECRET", "12345"),
        ("RUNNER_EVENT_TARGET_URL", "http://target:3000"),
        ("BROKER_PORT", "4000"),
    ];
    let settings = loaded(&pairs, folder.path()).unwrap();
    assert!(settings.runner_secret.unwrap().0.matches("12345"));
    assert_eq!(
        settings.server.as_ref().unwrap().as_str(),
        "http://target:3000"
    );
    assert_eq!(settings.broker_listen.to_string(), "127.0.0.1:4000");
    let own = [pairs[2], ("HOPLINE_BROKER_LISTEN", "127.0.0.1:5000")];
    let settings = loaded(&own, folder.path()).unwrap();
    assert_eq!(settings.broker_listen.port(), 5000);
    fs::write(folder.path().join(FILE), "broker_listen = \"0.0.0.0:1\"\n").unwrap();
    let settings = loaded(&pairs, folder.path()).unwrap();
    assert_eq!(settings.broker_listen.to_string(), "0.0.0.0:4000");
    let mistake = problem(&[("BROKER_PORT", "many")], folder.path());
    assert!(mistake.contains("BROKER_PORT"), "{mistake}");
    let own = [pairs[0], ("HOPLINE_RUNNER_SECRET", "own")];
    let settings = loaded(&own, folder.path()).unwrap();
    assert!(settings.runner_secret.unwrap().0.matches("own"));
}

#[test]
fn a_mistake_names_the_key_its_source_and_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let rate = problem(&[("HOPLINE_SAMPLE_RATE", "lots")], folder.path());
    assert!(
        rate.contains("sample_rate") && rate.contains("HOPLINE_SAMPLE_RATE"),
        "{rate}"
    );
    let events = problem(&[("HOPLINE_TRACED_EVENTS", "ack=perhaps")], folder.path());
    assert!(
        events.contains("HOPLINE_TRACED_EVENTS") && events.contains("carried"),
        "{events}"
    );
    fs::write(folder.path().join(FILE), "sample_rate = 2\n").unwrap();
    let file = problem(&[], folder.path());
    assert!(
        file.contains(FILE) && file.contains("from 0 to 1"),
        "{file}"
    );
    fs::write(folder.path().join(FILE), "sample_rates = 1\n").unwrap();
    let unknown = problem(&[], folder.path());
    assert!(
        unknown.contains("sample_rates") && unknown.contains("no such setting"),
        "{unknown}"
    );
    fs::write(folder.path().join(FILE), "release = \"a\"\nlisten = = 2\n").unwrap();
    let syntax = problem(&[], folder.path());
    assert!(syntax.contains("line 2, column 10"), "{syntax}");
}

#[test]
fn a_secret_is_not_in_the_error_about_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), "admin_secret = 815\n").unwrap();
    let text = problem(&[], folder.path());
    assert!(
        text.contains("admin_secret") && !text.contains("815"),
        "{text}"
    );
    fs::remove_file(folder.path().join(FILE)).unwrap();
    let text = problem(&[("HOPLINE_ADMIN_SECRET", "mine yours")], folder.path());
    assert!(!text.contains("mine"), "{text}");
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let folder = tempfile::tempdir().unwrap();
    let settings = loaded(&[("HOPLINE_OTLP_URL", "")], folder.path()).unwrap();
    assert!(settings.otlp_url.is_none());
    assert_eq!(
        settings.data_folder(),
        Path::new("/nowhere/.local/share/hopline")
    );
}

#[test]
fn what_the_current_folders_file_gives_is_told_from_what_its_user_gave() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let here = |text: &str| fs::write(folder.path().join(FILE), text).unwrap();
    fs::write(data.join(FILE), "broker = \"http://b:1\"\n").unwrap();
    here("server = \"http://s:1\"\n");
    let in_data = ("HOPLINE_DATA", data.to_str().unwrap());
    let settings = loaded(&[in_data], folder.path()).unwrap();
    let of_file =
        |settings: &Settings| ["server", "broker"].map(|key| settings.is_of_current_folder(key));
    assert_eq!(of_file(&settings), [true, false]);
    let named = loaded(
        &[in_data, ("HOPLINE_SERVER", "http://mine:1")],
        folder.path(),
    );
    assert_eq!(of_file(&named.unwrap()), [false, false]);
    // What it gives in a roundabout way, through a data folder of its own, it gives.
    here("data = \"data\"\n");
    let roundabout = loaded(&[], folder.path()).unwrap();
    assert_eq!(of_file(&roundabout), [false, true]);
    // Within the data folder, its file is the data folder's.
    let within = loaded(&[in_data], &data).unwrap();
    assert_eq!(of_file(&within), [false, false]);
}

#[test]
fn a_token_goes_to_no_address_that_only_the_current_folders_file_names() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), "otlp_url = \"http://o:1\"\n").unwrap();
    let token = ("HOPLINE_OTLP_TOKEN", "hunter2");
    let text = problem(&[token], folder.path());
    assert!(
        text.contains("otlp_url") && !text.contains("hunter2"),
        "{text}"
    );
    loaded(
        &[token, ("HOPLINE_OTLP_URL", "http://mine:1")],
        folder.path(),
    )
    .unwrap();
    loaded(&[], folder.path()).unwrap();
}
