#!/usr/bin/env python3
"""imgcap serve behind nginx, under a path: as docs/deploy.md has it, and with the path taken off by the proxy.

usage: nginx_test.py IMGCAP. Exit code 77: nginx is not installed (Debian: nginx-light). The page is tried where Playwright and Chromium are.
"""
import http.client, json, os, pathlib, re, shutil, socket, subprocess, sys, tempfile, time, unittest

from browser_tools import ROOT, SKIER, Page, Server, read, until

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
if not NGINX:
    print("skipped: nginx is not installed")
    sys.exit(77)
PROGRAM = os.path.abspath(sys.argv.pop(1))
NAME = "captions.example.org"
OPTIONS = ["--root-path", "/captions", "--allow-host", NAME]

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr warn;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    {documented}
    location /stripped/ {{ proxy_pass http://127.0.0.1:{server}/; proxy_set_header Host $http_host; }}
  }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def documented(port):
    """The location of docs/deploy.md, for this server."""
    text = pathlib.Path(ROOT, "docs/deploy.md").read_text()
    return re.search(r"```nginx\n(.*?)```", text, re.S).group(1).replace("127.0.0.1:7860", f"127.0.0.1:{port}")


class NginxTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(PROGRAM, *OPTIONS)
        cls.folder = tempfile.TemporaryDirectory()
        cls.port = free_port()
        file = pathlib.Path(cls.folder.name, "nginx.conf")
        file.write_text(CONFIGURATION.format(folder=cls.folder.name, port=cls.port, server=cls.server.port, documented=documented(cls.server.port)))
        cls.nginx = subprocess.Popen([NGINX, "-c", str(file), "-p", cls.folder.name])
        until(cls.listens, "nginx")

    @classmethod
    def tearDownClass(cls):
        cls.nginx.terminate()
        cls.nginx.wait(10)
        cls.server.stop()
        cls.folder.cleanup()

    @classmethod
    def listens(cls):
        try:
            socket.create_connection(("127.0.0.1", cls.port), timeout=1).close()
            return True
        except OSError:
            return False

    def ask(self, method, path, body=None, **fields):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request(method, path, body, {"Host": NAME, **{name.replace("_", "-"): value for name, value in fields.items()}})
        return connection.getresponse()

    def test_the_page_and_its_files(self):
        for path in ("/captions/", "/stripped/"):
            page = self.ask("GET", path).read().decode()
            self.assertIn("<title>ImgCap", page)
            for file in re.findall(r'(?:src|href)="([\w.]+\.(?:js|css|svg))"', page):
                self.assertEqual(self.ask("GET", path + file).status, 200, file)
        self.assertIn(self.ask("GET", "/captions").status, (301, 302))

    def test_captions(self):
        alone = self.server.caption(SKIER)["captions"][0]["caption"]
        for path in ("/captions/", "/stripped/"):
            answer = self.ask("POST", path + "api/caption", read(SKIER), Content_Type="image/jpeg", Origin=f"https://{NAME}")
            self.assertEqual(json.load(answer)["photos"][0]["captions"][0]["caption"], alone)

    def test_events_come_one_by_one(self):
        # Long captions: what comes word by word takes longer than this program may be kept from reading.
        answer = self.ask("POST", "/captions/api/caption?language=all&min_words=40&max_words=50", read(SKIER), Content_Type="image/jpeg", Accept="text/event-stream")
        self.assertEqual(answer.status, 200)
        arrived = []
        while line := answer.readline():
            if line.startswith(b"event:"):
                arrived.append((time.monotonic(), line.split()[1].decode()))
        self.assertEqual(arrived[-1][1], "end")
        self.assertGreater(len({round(at, 3) for at, name in arrived if name == "words"}), 2, "all words came at once")

    def test_the_page_waits_for_its_server(self):
        try:
            from playwright.sync_api import sync_playwright
        except ImportError:
            self.skipTest("Playwright for Python is not installed")
        if not (chromium := shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")):
            self.skipTest("Chromium is not installed")
        with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as browser:
            page = Page(browser, f"http://127.0.0.1:{self.port}/captions/")
            self.server.kill()
            page.give(SKIER)
            until(lambda: "does not answer" in page.page.inner_text("#notices"), "what is the matter")
            type(self).server = Server(PROGRAM, *OPTIONS, port=self.server.port)
            page.captioned(1)
            self.assertEqual((page.page.inner_text("#notices"), page.texts("#captions .problem")), ("", []))

    def test_other_names_are_refused(self):
        self.assertEqual(self.ask("GET", "/captions/", Host="other.example.org").status, 421)


if __name__ == "__main__":
    unittest.main(verbosity=2)
