#!/usr/bin/env python3
"""`imgcap serve` as a program: its captions are those of `imgcap caption`, and it ends, refuses and lets in as it should.

usage: program_test.py IMGCAP. Exit code 77: this build has no server.
"""
import base64, http.client, json, pathlib, re, signal, socket, struct, subprocess, sys, time, uuid

PROGRAM = sys.argv[1]
PHOTOS = pathlib.Path(__file__).resolve().parent.parent.parent / "assets/photos"
NAMES = ["skimage_coffee.jpg", "skimage_rocket.jpg", "coco_000000000285.jpg"]
PATIENCE = 120  # seconds, for a slow machine


class Server:
    """The program with these options, at a free port."""

    def __init__(self, *options):
        self.process = subprocess.Popen([PROGRAM, "serve", "--port", "0", *options], text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.line = self.process.stdout.readline()
        found = re.match(r"serving (.*) at http://127\.0\.0\.1:(\d+)(/\S*)\n", self.line)
        assert found, (self.line, self.process.communicate())
        self.models, self.port, self.path = found[1], int(found[2]), found[3]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def start(self, method, path, body=None, **fields):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in fields.items()})
        return connection

    def ask(self, method, path, body=None, **fields):
        answer = self.start(method, path, body, **fields).getresponse()
        return answer.status, answer.read(), answer

    def caption(self, photos, options=None, query="", **fields):
        body, content_type = form(photos, options)
        status, answer, _ = self.ask("POST", "/api/caption" + query, body, Content_Type=content_type, **fields)
        return status, json.loads(answer)

    def metric(self, name):
        return int(re.search(rf"^{name} (\d+)$", self.ask("GET", "/metrics")[1].decode(), re.M)[1])

    def wait_for(self, name, right):
        until = time.monotonic() + PATIENCE
        while not right(self.metric(name)):
            assert time.monotonic() < until, (name, self.metric(name))
            time.sleep(0.01)

    def end(self):
        """The exit code and what was said since the first line."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


def form(photos, options=None):
    boundary = uuid.uuid4().hex
    parts = [f'form-data; name="photo"; filename="{name}"\r\nContent-Type: image/jpeg\r\n\r\n'.encode() + data
             for name, data in photos]
    if options is not None:
        parts.append(b'form-data; name="options"\r\n\r\n' + json.dumps(options).encode())
    body = b"".join(f"--{boundary}\r\nContent-Disposition: ".encode() + part + b"\r\n" for part in parts)
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def photo(name):
    return (PHOTOS / name).read_bytes()


def jpeg_size(data):
    """Width and height, by the frame's header."""
    assert data[:2] == b"\xff\xd8", data[:8]
    at = 2
    while data[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + struct.unpack(">H", data[at + 2:at + 4])[0]
    height, width = struct.unpack(">HH", data[at + 5:at + 9])
    return width, height


def turned(data):
    """The JPEG with an EXIF orientation: shown, it is turned to the right by a quarter."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + b"\0\0\0\0"
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def events_of(text):
    for block in text.strip("\n").split("\n\n"):
        name, data = re.fullmatch(r"event: (\w+)\ndata: (.*)", block).groups()
        yield name, json.loads(data)


def same(caption, line):
    for key in ("caption", "log_probability", "confidence", "words"):
        assert caption[key] == line[key], (key, caption, line)
    assert caption["caption"]


def refused(why, *options):
    result = subprocess.run([PROGRAM, "serve", *options], capture_output=True, text=True, timeout=PATIENCE)
    assert result.returncode == 2 and result.stdout == "", result
    assert why in result.stderr and result.stderr.count("\n") == 1, result.stderr


def captions_are_those_of_the_command_line():
    lines = subprocess.run([PROGRAM, "caption", "--json", *(str(PHOTOS / name) for name in NAMES)], check=True,
                           capture_output=True, text=True).stdout
    right = [json.loads(line) for line in lines.splitlines()]
    with Server() as server:
        assert (server.models, server.path) == ("attention", "/"), server.line
        status, answer = server.caption([(name, photo(name)) for name in NAMES])
        assert status == 200 and len(answer["photos"]) == len(NAMES), answer
        for name, each, line in zip(NAMES, answer["photos"], right):
            assert (each["name"], each["format"]) == (name, "JPEG"), each
            assert (each["width"], each["height"]) == jpeg_size(photo(name)), each
            same(each["captions"][0], line)

        status, raw, _ = server.ask("POST", f"/api/caption?name={NAMES[0]}", photo(NAMES[0]), Content_Type="image/jpeg")
        assert status == 200, raw
        same(json.loads(raw)["photos"][0]["captions"][0], right[0])

        body, content_type = form([(name, photo(name)) for name in NAMES])
        status, text, whole = server.ask("POST", "/api/caption", body, Content_Type=content_type, Accept="text/event-stream")
        assert status == 200 and whole.getheader("Content-Type") == "text/event-stream", text
        events = list(events_of(text.decode()))
        assert events[-1] == ("end", {"notes": []}), events[-1]
        found = {data["photo"]: data for name, data in events if name == "caption"}
        assert sorted(found) == [0, 1, 2] and any(name == "words" for name, _ in events), events
        for i, line in enumerate(right):
            same(found[i], line)

        # The photo as it is shown, and one that is none among others.
        width, height = jpeg_size(photo(NAMES[2]))
        photos = [("turned.jpg", turned(photo(NAMES[2]))), ("broken.jpg", b"broken"), (NAMES[0], photo(NAMES[0]))]
        status, answer = server.caption(photos, {"preview": True})
        assert status == 200, answer
        upright, broken, other = answer["photos"]
        head = "data:image/jpeg;base64,"
        assert (upright["width"], upright["height"]) == (height, width), upright
        assert (upright["orientation"], other["orientation"]) == (6, 1), (upright, other)
        assert upright["preview"].startswith(head), upright["preview"][:40]
        assert jpeg_size(base64.b64decode(upright["preview"][len(head):])) == (height, width)
        assert jpeg_size(base64.b64decode(other["preview"][len(head):])) == jpeg_size(photo(NAMES[0]))
        assert broken["name"] == "broken.jpg" and "broken.jpg" in broken["error"] and "captions" not in broken, broken
        same(other["captions"][0], right[0])
        assert server.caption([("broken.jpg", b"broken")])[0] == 422

        # Whose names and pages are let in.
        assert server.ask("GET", "/", Host="evil.example")[0] == 421
        assert server.ask("GET", "/", Host=f"localhost:{server.port}")[0] == 200
        assert server.ask("GET", "/", Origin="https://evil.example")[0] == 403
        assert server.ask("GET", "/", Origin=f"http://127.0.0.1:{server.port}")[0] == 200
        code, out, err = server.end()
        assert (code, out, err) == (0, "stopped\n", ""), (code, out, err)


# A search that takes its time, but not the half minute that a stopped server waits, on a slow machine.
LONG = {"beam": 20, "max_words": 50, "min_words": 45}


def stopped_it_answers_what_runs():
    with Server() as server:
        body, content_type = form([(NAMES[0], photo(NAMES[0]))], LONG)
        running = server.start("POST", "/api/caption", body, Content_Type=content_type)
        server.wait_for("imgcap_searches", lambda searches: searches == 1)
        server.process.send_signal(signal.SIGTERM)
        answer = running.getresponse()
        captions = json.loads(answer.read())["photos"][0]["captions"]
        assert answer.status == 200 and len(captions[0]["words"]) >= 45, captions
        assert server.process.wait(PATIENCE) == 0


def who_leaves_is_not_worked_for():
    with Server() as server:
        photos = 32
        body, content_type = form([(NAMES[0], photo(NAMES[0]))] * photos, LONG)
        leaving = server.start("POST", "/api/caption", body, Content_Type=content_type)
        server.wait_for("imgcap_searches", lambda searches: searches > 0)
        leaving.close()
        server.wait_for("imgcap_photos_now", lambda now: now == 0)
        assert server.metric("imgcap_searches") < photos
        assert server.metric("imgcap_photos_total") < photos
        assert server.end()[0] == 0


def tokens_and_a_root_path():
    with Server("--token", "secret", "--root-path", "/x") as server:
        assert server.path == "/x/#token=secret", server.line
        for path in ("/x/", "/", "/x/healthz", "/healthz"):
            assert server.ask("GET", path)[0] == 200, path
        assert server.ask("GET", "/x")[2].getheader("Location") == "/x/"
        for path in ("/metrics", "/x/metrics", "/api/models", "/openapi.json"):
            status, _, answer = server.ask("GET", path)
            assert status == 401 and answer.getheader("WWW-Authenticate") == "Bearer", path
            assert server.ask("GET", path, Authorization="Bearer wrong")[0] == 401, path
            assert server.ask("GET", path, Authorization="Bearer secret")[0] == 200, path
        body, content_type = form([(NAMES[0], photo(NAMES[0]))], {"beam": 1})
        for path in ("/api/caption", "/x/api/caption"):
            assert server.ask("POST", path, body, Content_Type=content_type)[0] == 401
            assert server.ask("POST", path, body, Content_Type=content_type, Authorization="Bearer secret")[0] == 200
        assert server.end()[0] == 0
    with Server("--host", "0.0.0.0", "--token", "auto", "--model", "plain") as server:
        assert server.models == "plain", server.line
        token = re.fullmatch(r"/#token=([0-9a-f]{32})", server.path)[1]
        assert server.ask("GET", "/api/models", Authorization=f"Bearer {token}")[0] == 200
        assert server.ask("GET", "/api/models", Authorization=f"Bearer {token[::-1]}")[0] == 401


def what_it_refuses():
    refused("--host 0.0.0.0: others than this machine could come in", "--port", "0", "--host", "0.0.0.0")
    refused("--token and --open-to-all exclude each other", "--port", "0", "--token", "a", "--open-to-all")
    refused("an address is needed", "--port", "0", "--host", "example.org", "--open-to-all")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(f"127.0.0.1 port {port}", "--port", str(port))


probe = subprocess.run([PROGRAM, "serve", "--port", "0", "--host", "example.org", "--open-to-all"], capture_output=True,
                       text=True)
if "this build has no server" in probe.stderr:
    print("skipped: this build has no server")
    sys.exit(77)
for test in (what_it_refuses, captions_are_those_of_the_command_line, stopped_it_answers_what_runs,
             who_leaves_is_not_worked_for, tokens_and_a_root_path):
    begun = time.monotonic()
    test()
    print(f"{test.__name__.replace('_', ' ')}: {time.monotonic() - begun:.1f} s")
