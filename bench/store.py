"""Measures the trace store from outside: what comes in, what is asked, what a kill costs. `bench/traces` prepares what this
needs and calls it; the method is described in bench/README.md.

Each measurement has a fresh data folder and its own `hopline up`. Peers are measured in the same run, with the same sender.
"""

import argparse
import atexit
import itertools
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.parse
import urllib.request
from datetime import datetime, timezone
from pathlib import Path

# How often memory and progress are looked at, in seconds.
LOOK = 0.2
# How long anything that is no measurement may take, in seconds.
PATIENCE = 300
# After how long at the latest spans that came last are in files too, in seconds.
IN_FILES = 400
# How many traces are looked up by their ids.
LOOKED_UP = 200
# How long a peer may take for what is under way when its time is over, in seconds.
ANSWERED = 60
# What an answer says of a span, in DuckDB's words.
SPAN = 'epoch_ns("start"), duration_ns, name, op, service, status, trace_id, span_id'
# The seed's dashboard questions, and the same in SQL for DuckDB.
QUESTIONS = [
    (
        'avg(span.duration) where op:"db.persist.event"',
        "select sum(duration_ns * weight) / sum(weight) from spans where op = 'db.persist.event' and record is null",
    ),
    (
        'sum(span.duration) where op:"broker.event.forward"',
        "select sum(duration_ns * weight) from spans where op = 'broker.event.forward' and record is null",
    ),
    (
        'spans where op:"db.persist.event" order by duration desc limit 10',
        f"select {SPAN} from spans "
        "where op = 'db.persist.event' and record is null order by duration_ns desc, span_id limit 10",
    ),
    (
        'spans where name:"broker.forwardEvent.*" and status:"error"',
        f"select {SPAN} from spans "
        "where name like 'broker.forwardEvent.%' and status = 'error' and record is null "
        'order by "start" desc, span_id limit 100',
    ),
    (
        'count(spans) where name:"broker.forwardEvent.*" and status:"error"',
        "select coalesce(sum(weight), 0) from spans where name like 'broker.forwardEvent.%' and status = 'error' "
        "and record is null",
    ),
    (
        'avg(transaction.duration) where name:"handleCommand.*"',
        "select sum(duration_ns * weight) / sum(weight) from spans where name like 'handleCommand.%' and record is null "
        "and (parent_id is null or kind in ('server', 'consumer') or attributes['sentry.is_segment'] = 'true')",
    ),
]
# Those that ask for spans, and what these are ordered by.
ORDERS = {QUESTIONS[2][0]: "duration", QUESTIONS[3][0]: "start"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def resident(pid, key="VmRSS"):
    """What a process occupies, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def eventually(what, found, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if (value := found()) is not None:
            return value
        time.sleep(LOOK)
    sys.exit(f"{what}: not in {patience} s")


class Hopline:
    """A running `hopline up`."""

    def __init__(self, setting, data):
        self.data = data
        args = [setting.hopline, "up", "--json", "--listen", "127.0.0.1:0", "--broker-listen", "127.0.0.1:0", "--data", data]
        environment = os.environ | {"HOPLINE_LOG": "error"}
        self.process = subprocess.Popen(args, stdout=subprocess.PIPE, text=True, env=environment)
        # Whatever ends the measurements is not to leave it behind.
        atexit.register(self.process.kill)
        self.url = json.loads(self.process.stdout.readline())["server"]
        secrets = tomllib.loads((Path(data) / "secrets").read_text())
        self.admin, self.ingest = secrets["admin_secret"], secrets["ingest_key"]

    def get(self, path):
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.admin}"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.read().decode(), answer.headers

    def metric(self, name):
        text, _ = self.get("/metrics")
        return next((float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " ")), 0.0)

    def ask(self, question):
        body, _ = self.get("/api/query?" + urllib.parse.urlencode({"q": question}))
        return json.loads(body)["rows"]

    def settled(self):
        """Waits until all is in Parquet files but what the newest, unfinished segment of the log holds, and nothing is merged
        any more. Answers how many spans those files hold, and when that was so."""
        state, since = None, time.monotonic()
        deadline = since + PATIENCE
        while time.monotonic() < deadline:
            seen = self.metric("hopline_traces_settled_spans"), self.metric("hopline_traces_segments")
            if seen != state:
                state, since = seen, time.monotonic()
            # The background looks twice a second whether there is anything to do.
            elif time.monotonic() - since > 2:
                return state[0], since
            time.sleep(LOOK / 4)
        sys.exit("the spans do not come to rest")

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait()


def send(setting, url, *args):
    """Sends spans. Answers the sender's process, whose last line tells what was acknowledged."""
    return subprocess.Popen([setting.sender, url, *map(str, args)], stdout=subprocess.PIPE, text=True)


def watched(sender, pid, patience=float("inf")):
    """Waits for the sender. Answers what it has told, none if it has not ended in so many seconds, and the most that the process
    `pid` occupied meanwhile."""
    most, deadline = 0.0, time.monotonic() + patience
    while sender.poll() is None:
        most = max(most, resident(pid))
        time.sleep(LOOK)
        if time.monotonic() > deadline:
            sender.kill()
            sender.wait()
            return None, most
    if sender.returncode != 0:
        sys.exit("the sender failed")
    return json.loads(sender.stdout.read()), most


class Figures:
    """Values of all runs by the name of their figure."""

    def __init__(self):
        self.all = {}

    def add(self, name, unit, value, reach=""):
        print(f"  {name}: {value:,.2f} {unit}", file=sys.stderr, flush=True)
        self.all.setdefault((name, unit, reach), []).append(value)

    def table(self):
        rows = ["| figure | median | range | runs | reach |", "| --- | ---: | ---: | ---: | ---: |"]
        for (name, unit, reach), values in self.all.items():
            told = [f"{value:,.0f}" if value >= 100 else f"{value:.2f}" for value in (statistics.median(values), min(values), max(values))]
            rows.append(f"| {name} | {told[0]} {unit} | {told[1]} – {told[2]} | {len(values)} | {reach} |")
        return "\n".join(rows)


def folder(setting):
    return tempfile.mkdtemp(prefix="hopline-bench-", dir=setting.folder)


def intake(setting, figures, form, reach):
    data = folder(setting)
    hopline = Hopline(setting, data)
    if form == "otlp":
        url = f"{hopline.url}/v1/traces"
    else:
        url = f"{hopline.url}/api/1/envelope/"
    started = time.monotonic()
    sender = send(setting, url, "--as", form, "--key", hopline.ingest, "--seconds", setting.seconds)
    told, most = watched(sender, hopline.process.pid)
    spans, ended = hopline.settled()
    occupied = max(most, resident(hopline.process.pid))
    name = {"otlp": "OTLP/protobuf", "sentry": "Sentry, spans v2"}[form]
    figures.add(f"{name}: acknowledged", "spans/s", told["spans"] / told["seconds"])
    figures.add(f"{name}: in Parquet files, merged", "spans/s", spans / (ended - started), reach)
    figures.add(f"{name}: memory of `hopline up`, at most", "MiB", occupied, "≤ 400")
    figures.add(f"{name}: told to try again", "requests", told["again"])
    hopline.stop()
    shutil.rmtree(data)


def peer(setting, figures, name, command, url, form, environment=None):
    """Sends the same to another program, which answers once it has the spans, durable or not."""
    place = folder(setting)
    port = free_port()
    args = [part.format(port=port, place=place) for part in command]
    environment = os.environ | {key: value.format(port=port, place=place) for key, value in (environment or {}).items()}
    log = open(Path(place) / "log", "w")
    process = subprocess.Popen(args, cwd=place, env=environment, stdout=log, stderr=log, start_new_session=True)

    def listens():
        if process.poll() is not None:
            sys.exit(f"{name} ended: {Path(place, 'log').read_text()[-2000:]}")
        with socket.socket() as client:
            return True if client.connect_ex(("127.0.0.1", port)) == 0 else None

    eventually(f"{name} listens", listens)
    sender = send(setting, url.format(port=port), "--as", form, "--key", "load", "--seconds", setting.seconds)
    told, most = watched(sender, process.pid, setting.seconds + ANSWERED)
    if told:
        figures.add(f"{name}: acknowledged", "spans/s", told["spans"] / told["seconds"])
    else:
        figures.add(f"{name}: did not answer all requests of {setting.seconds:.0f} s after as many", "s", ANSWERED)
    figures.add(f"{name}: memory, at most", "MiB", most)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    shutil.rmtree(place, ignore_errors=True)


def kills(setting, figures):
    """Kills it while spans come in as fast as they can, and looks for what was acknowledged."""
    looked, lost = 0, 0
    for number in range(setting.kills):
        data = folder(setting)
        hopline = Hopline(setting, data)
        sender = send(setting, f"{hopline.url}/v1/traces", "--key", hopline.ingest, "--seed", number, "--tell", "--seconds", 60)
        time.sleep(random.uniform(1.0, 4.0))
        hopline.stop(signal.SIGKILL)
        # It ends with an error, since nobody answers any more.
        told = [line.split() for line in sender.communicate()[0].splitlines() if not line.startswith("{")]
        hopline = Hopline(setting, data)
        for trace, spans in told:
            looked += 1
            try:
                _, headers = hopline.get(f"/api/traces/{trace}")
                found = int(headers["hopline-total-spans"])
            except urllib.error.HTTPError:
                found = 0
            lost += int(spans) - found
        hopline.stop()
        shutil.rmtree(data)
    figures.add("kills at full intake", "kills", setting.kills, "50")
    figures.add("acknowledged requests looked for afterwards", "requests", looked)
    figures.add("acknowledged spans that were lost", "spans", lost, "0")


def timed(work, times=15):
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        answer = work()
        taken.append((time.perf_counter() - started) * 1_000)
    return answer, statistics.median(taken)


def same(ours, theirs):
    if len(ours) != len(theirs):
        return False
    for a, b in zip(ours, theirs, strict=True):
        for x, y in zip(a, b, strict=True):
            if isinstance(x, float) or isinstance(y, float):
                if abs(x - y) > 1e-9 * max(abs(x), abs(y)):
                    return False
            elif x != y:
                return False
    return True


def nanoseconds(time):
    """An answer's time, such as 2026-01-31T09:00:00.123456789Z, since 1970."""
    seconds, _, fraction = time.removesuffix("Z").partition(".")
    whole = datetime.fromisoformat(seconds).replace(tzinfo=timezone.utc).timestamp()
    return int(whole) * 1_000_000_000 + int(fraction.ljust(9, "0"))


def same_spans(duckdb, order, ours, theirs):
    """Whether two lists of spans are in order of the same values. Of spans that are alike in that either may have chosen
    others, so each of ours is looked for by all that it says."""
    by = {"start": 0, "duration": 1}[order]
    ours = [[nanoseconds(row[0]), *row[1:]] for row in ours]
    if [row[by] for row in ours] != [row[by] for row in theirs]:
        return False
    found = f"select {SPAN} from spans where trace_id = ? and span_id = ? and record is null"
    return all(list(duckdb.execute(found, row[-2:]).fetchone() or []) == row for row in ours)


def questions(setting, figures):
    """The seed's questions, to Hopline over HTTP and to DuckDB on the same files."""
    import duckdb

    data = folder(setting)
    hopline = Hopline(setting, data)
    args = ["--trace", setting.trace, "--key", hopline.ingest, "--spans", setting.spans, "--connections", 2]
    told, _ = watched(send(setting, f"{hopline.url}/v1/traces", *args), hopline.process.pid)
    hopline.settled()
    # Both are asked about the same files, so nothing is to be left in the log.
    hopline.stop()
    hopline = Hopline(setting, data)
    count = lambda name: hopline.metric(f"hopline_traces_{name}")
    in_files = lambda: count("settled_spans") if count("settled_spans") == count("spans") else None
    figures.add("spans asked about", "spans", eventually("all spans in files", in_files, IN_FILES))
    files = f"{data}/traces/spans/*/*/*.parquet"
    theirs = duckdb.connect(config={"threads": os.cpu_count()})
    theirs.execute(f"create view spans as select * from read_parquet('{files}', hive_partitioning = false)")
    for question, sql in QUESTIONS:
        # With a space more in front it is another question, to which nothing is kept.
        another = itertools.count(1)
        hopline.ask(question)
        theirs.execute(sql).fetchall()
        ours, own = timed(lambda question=question: hopline.ask(" " * next(another) + question))
        others, other = timed(lambda sql=sql: theirs.execute(sql).fetchall())
        figures.add(f"`{question}`", "ms", own, "≤ 300 ms")
        figures.add(f"DuckDB, `{question}`", "ms", other)
        figures.add(f"ratio, `{question}`", "", own / other, "≤ 1.5")
        again, kept = timed(lambda question=question: hopline.ask(question))
        figures.add(f"again, `{question}`", "ms", kept)
        order = ORDERS.get(question)
        alike = lambda answer: same_spans(theirs, order, answer, others) if order else same(answer, others)
        if not alike(ours) or not alike(again):
            sys.exit(f"{question}: the answers differ: {ours[:3]} {others[:3]}")
    figures.add("memory of `hopline up` after that, at most", "MiB", resident(hopline.process.pid, "VmHWM"))
    hopline.stop()
    shutil.rmtree(data)


def by_id(setting, figures):
    """A trace of a thousand spans by its id, as a page reads it and whole, among fifty million spans."""
    data = folder(setting)
    hopline = Hopline(setting, data)
    args = ["--trace", setting.small_trace, "--key", hopline.ingest, "--spans", setting.stored, "--connections", 2]
    watched(send(setting, f"{hopline.url}/v1/traces", *args), hopline.process.pid)
    spans, _ = hopline.settled()
    figures.add("spans stored in files", "spans", spans)
    traces = hopline.ask('spans where name:"runner.build" order by duration limit 10000')
    traces = [row[6] for row in random.Random(1).sample(traces, LOOKED_UP)]
    for form, asked in [("as a tree", ""), ("as an outline", "?format=outline")]:
        taken = []
        for trace in traces:
            begun = time.perf_counter()
            body, _ = hopline.get(f"/api/traces/{trace}{asked}")
            taken.append((time.perf_counter() - begun) * 1_000)
        taken.sort()
        figures.add(f"a trace of {json.loads(body)['total']:,} spans by its id, {form}, p50", "ms", taken[len(taken) // 2])
        figures.add(f"the same {form}, p99", "ms", taken[int(len(taken) * 0.99)], "≤ 25")
    figures.add("memory of `hopline up` after that", "MiB", resident(hopline.process.pid))
    hopline.stop()
    shutil.rmtree(data)


def asked_under_intake(setting, figures):
    """A question over the last five minutes while 50,000 spans a second come in."""
    data = folder(setting)
    hopline = Hopline(setting, data)
    seconds = 300 + setting.seconds
    args = ["--key", hopline.ingest, "--rate", 50_000, "--seconds", seconds]
    started = time.monotonic()
    sender = send(setting, f"{hopline.url}/v1/traces", *args)
    time.sleep(300)
    question, taken = "count(spans), avg(span.duration) by name since 5m", []
    while time.monotonic() - started < seconds:
        begun = time.perf_counter()
        rows = hopline.ask(question)
        taken.append((time.perf_counter() - begun) * 1_000)
        time.sleep(max(0, 0.25 - (time.perf_counter() - begun)))
    told, _ = watched(sender, hopline.process.pid)
    # From the second time on it is kept what each file adds.
    first, second, *taken = taken
    figures.add("a question over the last 5 minutes under 50,000 spans/s, the first time", "ms", first)
    figures.add("the second time", "ms", second)
    taken.sort()
    figures.add("spans counted", "spans", sum(row[1] for row in rows))
    figures.add("from then on, p50", "ms", taken[len(taken) // 2])
    figures.add("the same, p99", "ms", taken[int(len(taken) * 0.99)], "≤ 250")
    figures.add("questions", "", len(taken))
    figures.add("acknowledged meanwhile", "spans/s", told["spans"] / told["seconds"], "50,000 ± 10 %")
    figures.add("memory of `hopline up`, at most", "MiB", resident(hopline.process.pid, "VmHWM"))
    hopline.stop()
    shutil.rmtree(data)


def main():
    kinds = ["otlp", "rotel", "sentry", "spotlight", "phoenix", "questions", "by-id", "under-intake", "kills"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hopline", required=True, help="the program")
    parser.add_argument("--sender", required=True, help="hopline-spans")
    parser.add_argument("--trace", help="a build's trace as OTLP in JSON, for the questions")
    parser.add_argument("--small-trace", help="a trace of some 1,000 spans, as that, to be found by its id")
    parser.add_argument("--stored", type=int, default=50_000_000, help="among how many spans it is found")
    parser.add_argument("--peers", type=Path, help="the folder that bench/install-peers has filled")
    parser.add_argument("--folder", help="where data folders are made")
    parser.add_argument("--only", default=",".join(kinds), help="some of " + ", ".join(kinds))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--spans", type=int, default=10_000_000, help="how many the questions are about")
    parser.add_argument("--kills", type=int, default=50)
    setting = parser.parse_args()
    # Peers run in folders of their own.
    setting.peers = setting.peers and setting.peers.resolve()
    figures = Figures()
    for run in range(setting.runs):
        print(f"run {run + 1} of {setting.runs}", file=sys.stderr)
        for kind in setting.only.split(","):
            match kind:
                case "otlp":
                    intake(setting, figures, "otlp", "≥ 150,000")
                case "sentry":
                    intake(setting, figures, "sentry", "≥ 80,000")
                case "rotel":
                    # What PyPI has of it writes no files: it takes spans in and lets them go.
                    (agent,) = setting.peers.glob("python/lib/python3*/site-packages/rotel/rotel-agent")
                    agent.chmod(0o755)
                    command = [str(agent), "start", "--exporter", "blackhole"]
                    command += ["--otlp-http-endpoint", "127.0.0.1:{port}", "--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}"]
                    peer(setting, figures, "rotel, to nowhere", command, "http://127.0.0.1:{port}/v1/traces", "otlp")
                case "spotlight":
                    command = ["node", str(setting.peers / "node_modules/.bin/spotlight"), "server", "-p", "{port}"]
                    # It asks who sends in the address, where SDKs in browsers say so.
                    url = "http://127.0.0.1:{port}/api/1/envelope/?sentry_client=load&sentry_key=load"
                    peer(setting, figures, "Spotlight", command, url, "sentry")
                case "phoenix":
                    environment = {
                        "PHOENIX_PORT": "{port}", "PHOENIX_HOST": "127.0.0.1", "PHOENIX_WORKING_DIR": "{place}",
                        "PHOENIX_GRPC_PORT": str(free_port()), "PHOENIX_TELEMETRY_ENABLED": "false",
                    }  # fmt: skip
                    command = [str(setting.peers / "phoenix/bin/phoenix"), "serve"]
                    url = "http://127.0.0.1:{port}/v1/traces"
                    peer(setting, figures, "Phoenix", command, url, "otlp", environment)
                case "questions":
                    questions(setting, figures)
                case "by-id":
                    by_id(setting, figures)
                case "under-intake":
                    asked_under_intake(setting, figures)
                case "kills" if run == 0:
                    kills(setting, figures)
                case "kills":
                    pass
                case _:
                    sys.exit(f"no such measurement: {kind}; expected some of {', '.join(kinds)}")
    print(figures.table())


if __name__ == "__main__":
    main()
