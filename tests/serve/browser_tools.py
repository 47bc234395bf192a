"""What browser_test.py needs: the server, a browser's page, and requests of its own."""
import json, os, pathlib, re, struct, subprocess, time, urllib.request, uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PHOTOS = os.path.join(ROOT, "assets/photos")


def photo(name):
    return os.path.join(PHOTOS, name)


def read(path):
    return pathlib.Path(path).read_bytes()


SKATER, BEAR, SKIER = photo("coco_000000129648.jpg"), photo("coco_000000000285.jpg"), photo("coco_000000000785.jpg")


class Server:
    """imgcap serve on a free port, or on the given one."""

    def __init__(self, program, *options, port=0):
        self.process = subprocess.Popen(
            [program, "serve", "--model", "attention", "plain", "--port", str(port), *options], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, f"the first line has no address: {line!r}"
        self.link = found.group()
        self.address = self.link.split("#")[0]
        self.port = int(re.search(r":(\d+)/", self.address).group(1))

    def stop(self):
        self.process.terminate()
        self.end()

    def kill(self):
        self.process.kill()
        self.end()

    def end(self):
        self.process.wait(20)
        self.process.stdout.close()

    def get(self, path):
        with urllib.request.urlopen(self.address + path) as answer:
            return json.load(answer)

    def caption(self, path, **options):
        """The first photo of the answer to /api/caption: what a page's request should bring, too."""
        boundary = uuid.uuid4().hex
        body = b"".join([
            f"--{boundary}\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"{os.path.basename(path)}\"\r\n\r\n".encode(),
            read(path),
            f"\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"options\"\r\n\r\n{json.dumps(options)}\r\n--{boundary}--\r\n".encode()])
        request = urllib.request.Request(self.address + "api/caption", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["photos"][0]


def until(true, what, seconds=30):
    """Asks again until true() is; its value. A page's rules forbid the browser's own way of waiting for a script."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return value


class Page:
    """A page with an own, empty browser store, and what went wrong on it."""

    def __init__(self, browser, address, **context):
        self.context = browser.new_context(accept_downloads=True, **context)
        self.page = self.context.new_page()
        self.errors, self.hosts, self.noted = [], set(), []
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self.note)
        self.page.expose_function("noteOptions", self.note_options)
        self.page.add_init_script(NOTE_OPTIONS)
        self.open(address)

    def note(self, request):
        if not request.url.startswith(("data:", "blob:")):
            self.hosts.add(re.match(r"https?://[^/]+", request.url).group())

    def note_options(self, options):
        options = json.loads(options)
        if "beam" in options:  # not /api/explain's
            self.noted.append(options)

    @property
    def wishes(self):
        """The options of each request to /api/caption."""
        self.page.evaluate("0")  # what is on its way arrives
        return self.noted

    def open(self, address):
        self.page.goto(address)
        self.ready()

    def ready(self):
        self.page.wait_for_selector("body:not([aria-busy])")

    def give(self, *paths):
        self.page.set_input_files("#files", list(paths))

    def captioned(self, photos, captions=1, seconds=60):
        """Waits until so many photos have so many captions each, and nothing is under way."""
        lists = ("[...document.querySelectorAll('#photo-list li')].map((li) =>"
                 " li.classList.contains('at-work') ? -1 : li.querySelectorAll('.text').length)")
        until(lambda: self.page.evaluate(lists) == [captions] * photos, f"{photos} photos with {captions} captions", seconds)

    def texts(self, selector):
        return self.page.locator(selector).all_inner_texts()

    def download(self, selector):
        with self.page.expect_download() as waiting:
            self.page.click(selector)
        return read(waiting.value.path()), waiting.value.suggested_filename

    def map(self):
        """The map over the photo: rows of opacities, or None."""
        return self.page.evaluate("""() => {
          const map = document.getElementById('map');
          if (map.hidden) return null;
          const { data } = map.getContext('2d').getImageData(0, 0, map.width, map.height);
          return Array.from({ length: map.height }, (_, row) => Array.from({ length: map.width }, (_, column) => data[4 * (row * map.width + column) + 3]));
        }""")

    def close(self):
        self.context.close()


# What the page puts into its forms; a form with files is nowhere else to be seen.
NOTE_OPTIONS = """
  const append = FormData.prototype.append;
  FormData.prototype.append = function (name, value, ...rest) {
    if (name === 'options') window.noteOptions(value);
    return append.call(this, name, value, ...rest);
  };"""

# A file as the browser's own drag or clipboard would bring it.
DROP = """([kind, name, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(bytes)], name, { type: 'image/jpeg', lastModified: 1 }));
  if (kind === 'paste') window.dispatchEvent(new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true }));
  else for (const name of ['dragenter', 'dragover', 'drop']) document.body.dispatchEvent(new DragEvent(name, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""

# Reads the page again in the very moment that the next photo has its captions.
READ_AGAIN_ONCE_CAPTIONED = """() => {
  const atWork = () => document.querySelector('#photo-list .at-work') !== null;
  let begun = false;
  new MutationObserver(() => {
    if (begun && !atWork()) location.reload();
    begun ||= atWork();
  }).observe(document.getElementById('photo-list'), { childList: true, subtree: true, attributes: true });
}"""


def tiff(width=40, height=30, orientation=1):
    """A photo that browsers cannot show: red on the left, blue on the right as it is stored, not packed."""
    pixels = b"".join((b"\xc0\x20\x20" if x < width // 2 else b"\x20\x20\xc0") for _ in range(height) for x in range(width))
    behind = 8 + 2 + 12 * 10 + 4  # where the directory ends
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, behind), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, behind + 6),
            (274, 3, 1, orientation), (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(pixels))]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<HHH", 8, 8, 8) + pixels
