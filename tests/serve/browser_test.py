#!/usr/bin/env python3
"""The page of imgcap serve in a browser, against a server of its own.

usage: browser_test.py IMGCAP [TEST ...]. Exit code 77: Playwright or Chromium is not installed (pip install playwright;
the system's Chromium is used). With axe-playwright-python the accessibility rules of axe are checked, too. No other machine is asked.
"""
import csv, io, json, math, os, pathlib, shutil, subprocess, sys, tempfile, time, unittest, zipfile

try:
    from playwright.sync_api import sync_playwright
except ImportError:
    print("skipped: Playwright for Python is not installed")
    sys.exit(77)
from browser_tools import BEAR, DROP, PHOTOS, READ_AGAIN_ONCE_CAPTIONED, SKATER, SKIER, Page, Server, photo, read, tiff, until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if not CHROMIUM:
    print("skipped: Chromium is not installed")
    sys.exit(77)
PROGRAM = os.path.abspath(sys.argv[1])


STORED = """() => new Promise((done) => {
  const opened = indexedDB.open('imgcap ' + location.pathname, 1);
  opened.onsuccess = () => {
    const all = opened.result.transaction('photos').objectStore('photos').getAll();
    all.onsuccess = () => done(JSON.stringify(all.result.map((each) => each.results)));
  };
})"""


def tidy(text):
    return text.replace(" .", ".").replace(" ,", ",")


class BrowserTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(PROGRAM)
        cls.playwright = sync_playwright().start()
        cls.browser = cls.playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"])
        cls.folder = tempfile.TemporaryDirectory()
        cls.paths = cls.server.get("openapi.json")["paths"]

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.playwright.stop()
        cls.server.stop()
        cls.folder.cleanup()

    def file(self, name, content):
        path = os.path.join(self.folder.name, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(content)
        return path

    def a_page(self, address=None, expected=(), **context):
        """`expected`: beginnings of console errors that are right here."""
        page = Page(self.browser, address or self.server.address, **context)

        def close():
            page.close()
            wrong = [error for error in page.errors if not error.startswith(tuple(expected))]
            self.assertEqual(wrong, [], "errors on the console")
            self.assertEqual(page.hosts, {(address or self.server.address).rstrip("/").split("/x")[0]}, "hosts that were asked")
        self.addCleanup(close)
        return page

    def run_program(self, *arguments):
        """What the program prints, in the tests' folder."""
        ran = subprocess.run([PROGRAM, *arguments], cwd=self.folder.name, capture_output=True, text=True)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return ran.stdout

    def need(self, path):
        self.assertIn(path, self.paths)

    # --- out

    def test_one_photo(self):
        page = self.a_page()
        page.page.evaluate("""() => {
          window.grown = [];
          new MutationObserver(() => {
            const text = document.querySelector('.card .growing')?.textContent;
            if (text) window.grown.push(text);
          }).observe(document.getElementById('captions'), { childList: true, subtree: true });
        }""")
        page.give(SKATER)
        page.captioned(1)
        told = self.server.caption(SKATER, model="attention", beam=5, nbest=3, attention=True)
        best = told["captions"][0]
        self.assertEqual(" ".join(page.texts("#captions .word")), best["caption"])
        greedy = tidy(self.server.caption(SKATER, model="attention", beam=1)["captions"][0]["caption"])
        grown = page.page.evaluate("window.grown")
        self.assertGreaterEqual(len(set(grown)), 2, "words as they were found")
        self.assertTrue(all(greedy.startswith(text) for text in grown), grown)
        self.assertRegex(page.texts(".sure")[0], rf"^(sure|quite sure|not so sure|in doubt): {best['confidence']:.2f}")

        all_three = [best, *best["alternatives"]]
        weights = [math.exp(each["log_probability"]) for each in all_three]
        self.assertEqual(page.texts(".alternatives .text"), [tidy(each["caption"]) for each in all_three])
        self.assertEqual(page.texts(".alternatives .number"), [f"{weight / sum(weights):.2f}" for weight in weights])
        self.assertGreater(page.page.evaluate("document.getElementById('photo').naturalWidth"), 100)
        self.assertEqual(page.page.get_attribute("#photo", "alt"), tidy(best["caption"]))

    def test_maps_by_mouse_and_keyboard(self):
        page = self.a_page()
        page.give(SKATER)
        page.captioned(1)
        maps = self.server.caption(SKATER, model="attention", beam=5, attention=True)["captions"][0]["attention"]

        def expect(word):
            drawn = page.map()
            self.assertEqual((len(drawn), len(drawn[0])), (maps["rows"], maps["columns"]), "a cell for each place, not smoothed")
            most = max(maps["maps"][word])
            for place, value in enumerate(maps["maps"][word]):
                dark = 255 * 0.75 * (1 - value / most)
                self.assertAlmostEqual(drawn[place // maps["columns"]][place % maps["columns"]], dark, delta=1.5)

        self.assertIsNone(page.map())
        page.page.hover(".word >> nth=1")
        expect(1)
        self.assertIn("skateboarder", page.page.inner_text("#legend"))
        page.page.hover("header")
        self.assertIsNone(page.map(), "the map goes when the pointer does")
        page.page.focus(".word >> nth=1")
        page.page.keyboard.press("Tab")
        expect(2)
        page.page.keyboard.press("Tab")
        expect(3)
        page.page.keyboard.press("Escape")
        self.assertIsNone(page.map())
        self.assertIn("smoothing adds no detail", page.page.inner_text("#about-maps"))

    def test_models_and_languages_side_by_side(self):
        page = self.a_page()
        page.page.check("#models [value=plain]")
        page.page.select_option("#language", "all")
        page.give(SKATER)
        page.captioned(1, 2)  # the list shows two
        cards = until(lambda: page.texts("#captions h2") if page.page.locator("#captions .word").count() else None, "cards")
        self.assertEqual([card.split("\n")[0] for card in cards], ["attention · English", "attention · Arabic", "plain · English", "plain · Arabic"])
        arabic = page.page.locator(".card:nth-child(2) .sentence")
        self.assertEqual(arabic.evaluate("(each) => getComputedStyle(each).direction"), "rtl")
        self.assertEqual(arabic.get_attribute("lang"), "ar")
        boxes = [arabic.locator(".word").nth(i).bounding_box()["x"] for i in (0, 1)]
        self.assertGreater(boxes[0], boxes[1], "the first word stands at the right")
        self.assertEqual([(wish["model"], wish.get("language")) for wish in page.wishes], [("attention", "all"), ("plain", "all")])

    def test_settings_reach_the_server_and_survive(self):
        page = self.a_page()
        page.page.locator("#beam").press("ArrowLeft")
        page.page.locator("#beam").press("ArrowLeft")
        self.assertEqual(page.page.inner_text("#beam-value"), "3")
        page.page.click("#settings summary")
        page.page.fill("#option-prefix", "a young man")
        page.page.fill("#option-suppress", "skateboard, trick")
        page.page.fill("#option-min_words", "6")
        page.page.fill("#option-no_repeat_ngram", "2")
        page.give(SKATER)
        page.captioned(1)
        wish = {"model": "attention", "beam": 3, "nbest": 3, "attention": True, "preview": True, "prefix": "a young man",
                "suppress": ["skateboard", "trick"], "min_words": 6, "no_repeat_ngram": 2}
        self.assertEqual(page.wishes, [wish])
        said = " ".join(page.texts("#captions .word"))
        self.assertTrue(said.startswith("a young man"), said)
        self.assertNotIn("skateboard ", said + " ")
        page.page.locator("#beam").press("ArrowLeft")
        page.page.locator("#beam").press("ArrowLeft")
        self.assertEqual(page.page.input_value("#option-nbest"), "3", "what was wanted is not changed")
        page.page.fill("#option-max_words", "-4")
        self.assertRegex(page.page.inner_text("#settings-problem"), "^At most so many words: ")
        page.page.click("#again")
        until(lambda: len(page.wishes) == 2, "another request")
        self.assertEqual((page.wishes[1]["nbest"], page.wishes[1].get("max_words")), (1, None), "not more captions than the beam is wide")
        page.captioned(1)
        page.page.fill("#option-max_words", "")
        self.assertEqual(page.page.inner_text("#settings-problem"), "")
        page.page.check("#option-sample")
        page.page.fill("#option-temperature", "0.7")
        page.page.fill("#option-seed", "12")
        page.page.fill("#option-nbest", "4")
        page.page.reload()
        page.ready()
        page.page.click("#again")
        until(lambda: len(page.wishes) == 3, "another request")
        sampled = {"sample": True, "temperature": 0.7, "seed": 12, "nbest": 4}
        self.assertEqual({name: page.wishes[2].get(name) for name in sampled}, sampled)
        until(lambda: len(page.texts(".alternatives .text")) == 4, "four drawn captions")

    # --- in

    def test_every_way_in(self):
        page = self.a_page()
        for count, (kind, path) in enumerate((("paste", SKATER), ("drop", BEAR)), 1):
            page.page.evaluate(DROP, [kind, os.path.basename(path), list(read(path))])
            page.captioned(count)
        self.assertTrue(page.page.is_hidden("#drop-here"))
        self.assertIn("bear", page.page.inner_text("#captions .sentence"))
        for name in ("one.jpg", "further/two.jpg", "notes.md"):
            self.file(f"album/{name}", read(SKIER))
        page.page.set_input_files("#folder", os.path.join(self.folder.name, "album"))
        page.captioned(4)
        self.assertIn("1 file of the folder is no photo", page.page.inner_text("#notices"))
        self.assertEqual(page.texts("#photo-list .name")[:2], ["album/further/two.jpg", "album/one.jpg"])
        page.give(self.file("red.tiff", tiff(orientation=6)), self.file("broken.jpg", b"\xff\xd8\xff and then nothing"))
        until(lambda: page.page.locator("#photo-list .problem").count() == 1, "the broken photo's error")
        self.assertIn("broken.jpg", page.texts("#photo-list .problem")[0])
        page.page.click("#photo-list li:nth-child(1) .open")
        size = "[document.getElementById('photo').naturalWidth, document.getElementById('photo').naturalHeight]"
        until(lambda: page.page.evaluate(size) == [30, 40], "the photo, upright")
        self.assertIn("TIFF, 30 × 40, turned upright", page.page.inner_text("#photo-facts"))

    def test_camera(self):
        page = self.a_page(permissions=["camera"])
        until(lambda: page.page.is_enabled("#camera"), "a camera")
        page.page.click("#camera")
        until(lambda: page.page.evaluate("document.getElementById('viewfinder').videoWidth") > 0, "a picture of the camera")
        page.page.click("#shoot")
        page.captioned(1)
        self.assertRegex(page.texts("#photo-list .name")[0], r"^camera .*\.jpg$")
        self.assertTrue(page.page.evaluate("document.getElementById('viewfinder').srcObject === null"), "the camera is off")

        # As on a page that came neither by https nor from this machine.
        page.page.add_init_script("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
        page.page.reload()
        page.ready()
        self.assertTrue(page.page.is_disabled("#camera"))
        self.assertTrue(page.page.is_visible("#camera-why"), "with photos on the page, too")
        self.assertIn("https", page.page.inner_text("#camera-why"))

    def test_a_camera_that_is_slow_or_in_use(self):
        page = self.a_page(permissions=["camera"])
        page.page.evaluate("""() => {
          window.asked = 0;
          const devices = navigator.mediaDevices, real = devices.getUserMedia.bind(devices);
          const answers = [() => Promise.reject(new DOMException('busy', 'NotReadableError')), () => new MediaStream(), real];
          devices.getUserMedia = async (what) => answers[window.asked++](what);
        }""")
        until(lambda: page.page.is_enabled("#camera"), "a camera")
        page.page.click("#camera")
        until(lambda: "Another program" in page.page.inner_text("#camera-why"), "what is the matter")
        page.page.evaluate("() => { for (let i = 0; i < 2; ++i) document.getElementById('camera').click(); }")
        page.page.wait_for_selector("#camera-dialog[open]")
        self.assertEqual(page.page.evaluate("window.asked"), 2, "one stream for two clicks")
        self.assertTrue(page.page.is_disabled("#shoot"), "there is nothing to be seen yet")
        self.assertEqual(page.page.inner_text("#camera-why"), "")
        page.page.click("#no-shot")
        page.page.click("#camera")
        page.page.click("#shoot")
        page.captioned(1)

    def test_examples(self):
        self.need("/api/examples")
        page = self.a_page()
        first = self.server.get("api/examples")["examples"][0]
        shown = page.page.locator("#example-list li").first
        self.assertIn(first["licence"].split(" (")[0], shown.inner_text())
        self.assertEqual(shown.locator("img").get_attribute("loading"), "lazy")
        shown.locator("button").click()
        page.captioned(1)
        self.assertEqual(page.texts("#photo-list .name"), [first["name"]])

    # --- work with it

    def test_correct_replace_download_delete(self):
        page = self.a_page()
        page.give(SKATER, BEAR, SKIER)
        page.captioned(3)
        captions = [self.server.caption(path, model="attention", beam=5)["captions"][0]["caption"] for path in (SKATER, BEAR, SKIER)]
        self.assertIn("bear", captions[1])
        page.page.click(".tools >> text=Correct")
        page.page.fill("textarea", "a boy | his board\non a ramp")
        page.page.click("text=Keep")
        until(lambda: "his board" in page.page.evaluate(STORED), "it is kept")
        page.page.reload()
        page.ready()
        self.assertEqual(page.texts("#photo-list li:nth-child(1) .text"), ["a boy | his board on a ramp"], "it survives a reload")
        self.assertEqual(page.wishes, page.wishes[:3], "nothing is captioned again")

        page.page.click("text=Find and replace in all captions")
        page.page.fill("#find", "BEAR")
        page.page.fill("#replacement", "grizzly $& bear")
        self.assertEqual(page.page.inner_text("#replace-count"), "It changes 1 caption.")
        page.page.click("#replace")
        replaced = captions[1].replace("bear", "grizzly $& bear")
        self.assertEqual(page.texts("#photo-list li:nth-child(2) .text"), [tidy(replaced)])
        page.page.fill("#find", "grizz")
        self.assertEqual(page.page.inner_text("#replace-count"), "It changes 0 captions.", "whole words only")
        page.page.click("#undo")
        self.assertEqual(page.texts("#photo-list li:nth-child(2) .text"), [tidy(captions[1])])

        page.page.click("text=Download the captions")
        page.page.fill("#text-before", "photo of ")
        page.page.fill("#text-after", "!")
        expected = [f"photo of {text}!" for text in ("a boy | his board on a ramp", captions[1], captions[2])]
        names = [os.path.basename(path) for path in (SKATER, BEAR, SKIER)]
        table, name = page.download("#download-csv")
        self.assertEqual(name, "results.csv")
        self.assertEqual(table.decode().splitlines(), ["image_name| comment_number| comment"] + [f"{n}| 0| {t}" for n, t in zip(names, expected)])
        converted = self.file("results.csv", table)[:-len("results.csv")] + "converted.csv"
        subprocess.run([PROGRAM, "data", "convert", "--to", "csv", os.path.join(self.folder.name, "results.csv"), converted], check=True)
        rows = list(csv.reader(pathlib.Path(converted).read_text("utf-8").splitlines()))
        self.assertEqual([row[-1].strip() for row in rows[1:]], expected, "the program reads it")
        coco = json.loads(read(self.file("coco.json", page.download("#download-coco")[0])))
        self.assertEqual([image["file_name"] for image in coco["images"]], names)
        self.assertEqual([(each["image_id"], each["caption"].replace("\n", " ")) for each in coco["annotations"]],
                         [(image["id"], text) for image, text in zip(coco["images"], expected)])
        with zipfile.ZipFile(io.BytesIO(page.download("#download-text")[0])) as archive:
            self.assertIsNone(archive.testzip())
            self.assertEqual({n: archive.read(n).decode() for n in archive.namelist()},
                             {n.replace(".jpg", ".txt"): t + "\n" for n, t in zip(names, expected)})
            archive.extractall(os.path.join(self.folder.name, "texts"))
        for path in (SKATER, BEAR, SKIER):
            self.file(f"three/{os.path.basename(path)}", read(path))
        self.file("train.txt", "\n".join(names[:2]).encode())
        self.file("val.txt", names[2].encode())
        for kept in ("results.csv", "coco.json", "texts"):
            told = json.loads(self.run_program("data", "check", "--json", "--captions", kept, "--images", "three"))
            self.assertEqual([told[name] for name in ("captions", "photos", "problems", "captions_without_photo", "photos_without_captions")],
                             [3, 3, [], [], []], kept)
            self.run_program("train", "--captions", kept, "--images", "three", "--train-list", "train.txt", "--val-list", "val.txt", "--batch", "2",
                             "--out", f"trained on {kept}", "--embedding", "16", "--hidden", "16", "--attention-width", "16", "--epochs", "1",
                             "--min-frequency", "1")

        def stored(count):
            until(lambda: len(json.loads(page.page.evaluate(STORED))) == count, f"{count} photos in the store")

        page.page.click(f"[aria-label='Delete {names[1]}']")
        stored(2)
        page.page.reload()
        page.ready()
        self.assertEqual(page.texts("#photo-list .name"), [names[0], names[2]])
        page.page.once("dialog", lambda dialog: dialog.accept())
        page.page.click("#delete-all")
        stored(0)
        page.page.reload()
        page.ready()
        self.assertEqual(page.texts("#photo-list .name"), [])
        self.assertTrue(page.page.is_hidden("#stage"))

    def test_two_photos_of_one_name(self):
        page = self.a_page()
        page.give(SKATER, self.file(os.path.basename(SKATER), read(BEAR)))
        page.captioned(2)
        page.page.click("text=Download the captions")
        names = [os.path.basename(SKATER), os.path.basename(SKATER).replace(".jpg", " (2).jpg")]
        table = page.download("#download-csv")[0].decode().splitlines()[1:]
        self.assertEqual([line.split("|")[0] for line in table], names)
        self.assertIn("bear", table[1])
        coco = json.loads(page.download("#download-coco")[0])
        self.assertEqual([image["file_name"] for image in coco["images"]], names)
        with zipfile.ZipFile(io.BytesIO(page.download("#download-text")[0])) as archive:
            self.assertEqual(archive.namelist(), [name.replace(".jpg", ".txt") for name in names])

    def test_alternatives_can_be_used(self):
        page = self.a_page()
        page.give(SKATER)
        page.captioned(1)
        second = page.texts(".alternatives .text")[1]
        page.page.click(".alternatives li:nth-child(2) >> text=Use")
        self.assertEqual(page.texts("#captions .sentence"), [second])
        page.page.click("text=Back to the model’s")
        self.assertGreater(page.page.locator("#captions .word").count(), 3)

    def test_a_batch_stops_goes_on_and_passes_over_what_is_done(self):
        page = self.a_page()
        photos = [photo(name) for name in sorted(os.listdir(PHOTOS)) if name.endswith(".jpg")][:24]
        asked = []  # the first four are answered, so that something is left to be stopped

        def answer_four(route):
            asked.append(route)
            if len(asked) <= 4:
                route.continue_()
        page.page.route("**/api/caption", answer_four)
        page.give(*photos)
        until(lambda: page.page.locator("#photo-list .text").count() >= 2, "two captions")
        page.page.click("#stop")
        until(lambda: "Stopped" in page.page.inner_text("#progress-text"), "the stop")
        page.page.unroute("**/api/caption")
        done = page.page.locator("#photo-list .text").count()
        self.assertLess(done, 24)
        self.assertEqual(page.page.inner_text("#progress-text"), f"Stopped: {24 - done} photos left")
        page.page.wait_for_timeout(300)
        self.assertEqual(page.page.locator("#photo-list .text").count(), done, "nothing goes on by itself")
        page.page.click("#stop")
        page.captioned(24)
        asked = len(page.wishes)
        page.give(*photos[:3], SKATER)
        page.captioned(25)
        self.assertEqual(len(page.wishes), asked + 1, "three had a caption")
        self.assertIn("3 photos have a caption already", page.page.inner_text("#notices"))
        page.page.click("#settings summary")
        page.page.check("#overwrite")
        page.give(*photos[:3])
        until(lambda: len(page.wishes) == asked + 4, "all three again")
        page.captioned(25)

    def hold(self, page):
        """Keeps the page's requests for captions back. -> their routes, as they come"""
        held = []
        page.page.route("**/api/caption", lambda route: held.append(route))
        return held

    def come(self, page, held, count):
        until(lambda: page.page.evaluate("true") and len(held) == count, f"{count} requests")

    def one_of_two_models(self, page):
        """A photo that one model has captioned and another looks at. -> the routes that are held"""
        page.page.check("#models [value=plain]")
        held = self.hold(page)
        page.give(SKATER)
        self.come(page, held, 1)
        held[0].continue_()
        self.come(page, held, 2)
        return held

    def test_what_is_deleted_under_way_does_not_come_back(self):
        page = self.a_page(expected=["Failed to load resource"])
        broken_off = []
        page.page.on("requestfailed", lambda request: broken_off.append(request.url))
        held = self.hold(page)
        page.give(SKATER, BEAR, SKIER)
        self.come(page, held, 2)
        page.page.click(f"[aria-label='Delete {os.path.basename(SKATER)}']")
        self.come(page, held, 3)
        self.assertEqual(len(broken_off), 1, "the deleted photo's request ends")
        self.assertEqual(page.page.inner_text("#progress-text"), "0 of 2 photos")
        page.page.once("dialog", lambda dialog: dialog.accept())
        page.page.click("#delete-all")
        until(lambda: page.page.evaluate("true") and len(broken_off) == 3, "the others' requests end")
        self.assertTrue(page.page.is_hidden("#progress"), page.page.inner_text("#progress-text"))
        for route in held:
            route.abort()
        page.page.unroute("**/api/caption")
        page.give(BEAR)
        page.captioned(1)
        self.assertEqual(len(page.wishes), 4)
        self.assertTrue(page.page.is_hidden("#progress"))

    def test_corrections_stay_when_a_photo_is_captioned_again(self):
        page = self.a_page()
        page.give(SKATER)
        page.captioned(1)
        page.page.click(".tools >> text=Correct")
        page.page.fill("textarea", "my own words")
        page.page.click("text=Keep")
        page.page.click("#again")
        until(lambda: len(page.wishes) == 2, "another request")
        page.captioned(1)
        self.assertEqual(page.texts("#captions .sentence"), ["my own words"])
        page.give(SKATER)
        until(lambda: len(page.wishes) == 3, "the same photo once more")
        page.captioned(1)
        self.assertEqual(page.texts("#captions .sentence"), ["my own words"])
        page.page.uncheck("#models [value=attention]")
        page.page.check("#models [value=plain]")
        page.page.click("#again")
        page.captioned(1, 2)
        page.page.reload()
        page.ready()
        self.assertEqual(page.texts("#photo-list .text")[1:], ["my own words"], "another model's caption does not take them away")
        page.page.click("text=Back to the model’s")
        self.assertNotIn("my own words", page.page.inner_text("#captions"))

    def test_what_is_seen_is_kept(self):
        page = self.a_page()
        page.give(SKATER)
        page.captioned(1)
        for model, other in (("plain", "attention"), ("attention", "plain")) * 3:
            page.page.check(f"#models [value={model}]")
            page.page.uncheck(f"#models [value={other}]")
            page.page.evaluate(READ_AGAIN_ONCE_CAPTIONED)
            with page.page.expect_navigation():
                page.page.click("#again")
            page.ready()
            self.assertIn(model, page.texts("#captions h2")[0], "read again in the moment that the caption is there")

    def test_what_one_model_said_is_kept_while_another_looks(self):
        page = self.a_page()
        self.one_of_two_models(page)
        page.page.click(".tools >> text=Correct")
        page.page.fill("textarea", "my own words")
        page.page.press("textarea", "Enter")
        page.page.reload()
        page.ready()
        self.assertEqual(page.texts("#captions .sentence"), ["my own words"])

    def test_a_caption_stays_when_another_model_fails(self):
        page = self.a_page(expected=["Failed to load resource"])
        held = self.one_of_two_models(page)
        held[1].fulfill(status=400, json={"error": "not today"})
        until(lambda: page.texts("#captions .problem") == ["not today"], "the error")
        self.assertEqual([title.split("\n")[0] for title in page.texts("#captions h2")], ["attention · English"])
        page.captioned(1)

    def test_a_correction_outlives_other_captions(self):
        page = self.a_page()
        held = self.one_of_two_models(page)
        for text in ("a first try", "a second try"):
            page.page.click(".tools >> text=Correct")
            page.page.fill("textarea", text)
            if text == "a first try":
                page.page.press("textarea", "Enter")
                self.assertEqual(page.texts("#captions .sentence"), [text], "it is shown at once")
        held[1].continue_()
        page.captioned(1, 2)
        self.assertEqual(page.page.locator("#captions .card").count(), 2)
        page.page.keyboard.type(" and more")
        page.page.keyboard.press("Enter")
        self.assertEqual(page.texts("#captions .sentence")[:1], ["a second try and more"])
        until(lambda: "a second try and more" in page.page.evaluate(STORED), "it is kept")

        # Captioned again while somebody writes.
        page.page.uncheck("#models [value=plain]")
        page.page.click(".tools >> text=Correct")
        page.page.fill("textarea", "a third try")
        page.page.click("#again")
        self.come(page, held, 3)
        held[2].continue_()
        until(lambda: page.page.locator("#photo-list .at-work").count() == 0, "the caption")
        page.page.press("textarea", "Enter")
        self.assertEqual(page.texts("#captions .sentence")[:1], ["a third try"])
        until(lambda: "a third try" in page.page.evaluate(STORED), "it is kept")

    # --- ask it

    def test_going_on_from_a_beginning(self):
        page = self.a_page(expected=["Failed to load resource: the server responded with a status of 400"])
        page.give(SKATER)
        page.captioned(1)
        page.page.fill("#ask-text", "a young boy")
        page.page.click("#ask-on")
        until(lambda: page.page.locator("#ask-answer .word").count() > 3, "a caption from there")
        self.assertTrue(" ".join(page.texts("#ask-answer .word")).startswith("a young boy"))
        text = tidy(" ".join(page.texts("#ask-answer .word")))
        page.page.click("text=Use this caption")
        self.assertEqual(page.texts("#captions .sentence"), [text])
        page.page.fill("#ask-text", "a zyxwv")
        page.page.click("#ask-on")
        until(lambda: "zyxwv" in page.page.inner_text("#ask-answer .problem"), "why it cannot")

    def test_how_likely(self):
        self.need("/api/explain")
        page = self.a_page()
        page.page.check("#models [value=plain]")
        page.give(SKATER)
        page.captioned(1, 2)
        page.page.hover(".card:nth-child(2) .word >> nth=1")
        until(page.map, "the map of a model without attention")
        self.assertIn("it isn’t looking", page.page.inner_text("#about-gradient"))
        self.assertEqual(page.page.evaluate("getComputedStyle(document.getElementById('about-gradient')).visibility"), "visible")
        page.page.fill("#ask-text", "a brown bear")
        page.page.press("#ask-text", "Enter")
        until(lambda: page.texts("#ask-answer .word") == ["a", "brown", "bear"], "the sentence")
        page.page.hover("#ask-answer .word >> nth=2")
        self.assertIsNotNone(page.map())
        page.page.click("#ask-answer .word >> nth=2")
        until(lambda: page.page.locator("#ask-answer .choices").count() == 2, "others in its place, and what comes next")
        self.assertEqual(page.page.locator("#ask-answer .choices").first.locator("li").count(), 10)
        other = page.page.locator("#ask-answer .choices").first.locator("button").first
        word = other.inner_text()
        other.click()
        until(lambda: page.page.locator("#ask-answer .continuation .word").count() > 2, "the model goes on")
        self.assertEqual(page.texts("#ask-answer .continuation .word")[:3], ["a", "brown", word])
        page.page.click(".card:nth-child(1) .word >> nth=1")
        until(lambda: page.page.locator(".card:nth-child(1) .choices li").count() == 10, "others in place of a caption's word")

    def test_report(self):
        self.need("/api/report")
        page = self.a_page(expected=["Failed to load resource"])
        page.page.route("**/api/caption", lambda route: route.fulfill(status=400, json={"error": "not today"}), times=1)
        page.give(SKIER)
        until(lambda: page.texts("#captions .problem") == ["not today"], "a photo without a caption")
        page.give(SKATER, BEAR)
        until(lambda: page.page.locator("#photo-list .text").count() == 2, "two captions")
        page.page.click(".tools >> text=Correct")
        page.page.fill("textarea", "zwei Worte")
        page.page.click("text=Keep")
        page.page.click("text=Download the captions")
        report, name = page.download("#download-report")
        self.assertEqual(name, "report.html")
        self.assertTrue(b"bear" in report, "what the model says")
        self.assertTrue(b"zwei Worte" in report, "what people say")
        self.assertEqual(report.count(b"What people wrote"), 1)
        self.assertTrue(b"Captions of 2 photos" in report, "its title")
        self.assertFalse(os.path.basename(SKIER).encode() in report, "a photo without a caption")
        page.page.fill("#text-before", "Foto: ")
        report = page.download("#download-report")[0]
        self.assertTrue(b"Foto: zwei Worte" in report, "the text before")

    def test_a_report_has_its_limit(self):
        page = self.a_page()
        page.page.evaluate("""() => new Promise((done) => {
          const opened = indexedDB.open('imgcap ' + location.pathname, 1);
          opened.onsuccess = () => {
            const transaction = opened.result.transaction('photos', 'readwrite');
            for (let i = 0; i < 33; ++i)
              transaction.objectStore('photos').put({ id: String(i), name: `${i}.jpg`, file: new File([], `${i}.jpg`), notes: [],
                                                      results: [{ model: 'plain', language: 'en', caption: 'a bear', words: [] }] });
            transaction.oncomplete = done;
          };
        })""")
        page.page.reload()
        page.ready()
        asked = []
        page.page.on("request", lambda request: asked.append(request.url))
        page.page.click("text=Download the captions")
        page.page.click("#download-report")
        self.assertIn("32 photos at most; 33 have captions", page.page.inner_text("#notices"))
        self.assertEqual([url for url in asked if "api/report" in url], [])

    # --- when something is wrong

    def test_a_busy_server_is_waited_for(self):
        page = self.a_page(expected=["Failed to load resource"])
        answers = iter((429, 503))

        def busy(route):
            status = next(answers, None)
            if status is None:
                return route.continue_()
            route.fulfill(status=status, headers={"Retry-After": "1"}, json={"error": "too many photos"})
        page.page.route("**/api/caption", busy)
        page.give(SKATER)
        until(lambda: "too many photos" in page.page.inner_text("#notices"), "why it waits")
        page.captioned(1)
        self.assertEqual(page.page.inner_text("#notices"), "")
        self.assertEqual(len(page.wishes), 3)

    def test_a_proxy_without_its_server_is_waited_for(self):
        page = self.a_page(expected=["Failed to load resource"])
        answers = {"healthz": [502, 504], "caption": [502, 503]}

        def away(route):
            statuses = answers[route.request.url.split("/")[-1]]
            if not statuses:
                return route.continue_()
            route.fulfill(status=statuses.pop(0), content_type="text/html", body="<h1>No server</h1>")
        for path in ("healthz", "api/caption"):
            page.page.route(f"**/{path}", away)
        page.give(SKATER)
        until(lambda: "does not answer" in page.page.inner_text("#notices"), "what is the matter")
        page.captioned(1)
        self.assertEqual(answers, {"healthz": [], "caption": []})
        self.assertEqual((page.page.inner_text("#notices"), page.texts("#captions .problem")), ("", []))

    def test_errors_are_said_in_words(self):
        page = self.a_page(expected=["Failed to load resource"])
        page.give(self.file("large.jpg", read(SKATER) + bytes(33 << 20)))
        until(lambda: page.texts("#captions .problem") == ["a request's body may have 32 MiB"], "the error")
        self.assertIn("32 MiB", page.texts("#photo-list .problem")[0])

        path = self.file("changing.jpg", read(SKATER))
        page.page.route("**/api/caption", lambda route: route.fulfill(status=400, json={"error": "not today"}))
        page.give(path)
        until(lambda: page.texts("#captions .problem") == ["not today"], "another error")
        page.page.unroute("**/api/caption")
        page.page.click("#again")
        until(lambda: page.page.locator("#captions .word").count() > 0, "a caption")
        self.assertEqual(page.texts("#captions .problem"), [])
        self.file("changing.jpg", read(BEAR))
        os.utime(path, (1e9, 1e9))
        page.page.click("#again")
        until(lambda: "can no longer be read" in "".join(page.texts("#captions .problem")), "that the file has changed")
        self.assertGreater(page.page.locator("#captions .word").count(), 0, "the caption stays")

    def test_the_server_goes_and_comes_back(self):
        server = Server(PROGRAM)
        page = self.a_page(server.address, expected=["Failed to load resource"])
        page.give(SKATER)
        page.captioned(1)
        server.kill()
        page.give(BEAR)
        until(lambda: "does not answer" in page.page.inner_text("#notices"), "what is the matter")
        self.assertEqual(page.page.locator("#photo-list .text").count(), 1, "what was there is still there")
        server = Server(PROGRAM, port=server.port)
        self.addCleanup(server.stop)
        page.captioned(2)
        self.assertEqual(page.page.inner_text("#notices"), "")

    def test_a_training_run_is_watched_while_it_goes_on(self):
        run = os.path.join(self.folder.name, "small run")
        os.makedirs(run)
        server = Server(PROGRAM, "--run", run)
        self.addCleanup(server.stop)
        page = self.a_page(server.address)
        train = subprocess.Popen(
            [PROGRAM, "train", "--captions", os.path.join(PHOTOS, "captions.csv"), "--images", PHOTOS, "--out", run, "--train-list",
             os.path.join(PHOTOS, "train.txt"), "--val-list", os.path.join(PHOTOS, "val.txt"), "--embedding", "16", "--hidden", "16",
             "--attention-width", "16", "--epochs", "3", "--min-frequency", "2"], stdout=subprocess.DEVNULL)
        self.addCleanup(train.wait)
        self.addCleanup(train.kill)
        until(lambda: "step" in "".join(page.texts("#run-facts")), "the first step", 120)
        self.assertEqual(train.wait(120), 0)
        log = [json.loads(line) for line in read(os.path.join(run, "log.jsonl")).splitlines()]
        last = [line for line in log if "validation" in line][-1]
        until(lambda: f"all {last['CIDEr']:.3f}" in "".join(page.texts("#run-charts")), "the last validation", 30)
        steps = [line for line in log if "validation" not in line]
        until(lambda: f"step {steps[-1]['step']} of {steps[-1]['step']}" in page.texts("#run-facts")[0], "the last step")
        samples = json.loads(read(sorted(pathlib.Path(run, "samples").glob("step_*.json"))[-1]))["captions"]
        until(lambda: page.texts("#run-samples p") == [each["caption"] for each in samples], "the last captions")
        until(lambda: page.page.evaluate("[...document.querySelectorAll('#run-samples img')].filter((each) => each.naturalWidth > 100).length")
              == len(samples), "the photos")

    def test_a_training_run_that_is_silent_fails_and_ends(self):
        run = pathlib.Path(self.folder.name, "silent run")
        (run / "samples").mkdir(parents=True)
        (run / "samples/run.json").write_text('{"total_steps": 2, "step": 0, "time": 0}')
        log = run / "log.jsonl"

        def steps(count, seconds_ago):
            log.write_text("".join(json.dumps({"step": i + 1, "epoch": 0, "loss": 2.5, "lr": 0.1, "captions_per_second": 9, "loss_scale": 1}) + "\n"
                                   for i in range(count)))
            os.utime(log, (time.time() - seconds_ago,) * 2)
        steps(1, 150)
        server = Server(PROGRAM, "--run", str(run))
        self.addCleanup(server.stop)
        page = self.a_page(server.address, expected=["Failed to load resource"])
        os.utime(log, (time.time() - 150,) * 2)  # whatever the start took
        facts = lambda: page.page.inner_text("#run-facts")
        until(lambda: "nothing new for 3 min" in facts(), "that it is silent")
        os.utime(log, (time.time() - 270,) * 2)
        until(lambda: "nothing new for 5 min" in facts(), "that it is silent for longer, without a step")
        page.page.route("**/api/run", lambda route: route.fulfill(status=500, json={"error": "the disk is away"}), times=1)
        until(lambda: "the disk is away" in facts(), "an error")
        steps(2, 150)
        until(lambda: facts().endswith("finished"), "the end, after the error")

    def test_token_and_subpath(self):
        server = Server(PROGRAM, "--token", "secret", "--root-path", "/x")
        self.addCleanup(server.stop)
        page = self.a_page(server.link, expected=[])
        self.assertNotIn("secret", page.page.url)
        page.give(SKATER)
        page.captioned(1)
        page.page.click("text=Use from a program")
        self.assertIn("IMGCAP_TOKEN", page.page.inner_text("[data-call=curl]"))
        self.assertNotIn("secret", page.page.inner_text("body"))

        context = self.browser.new_context()
        self.addCleanup(context.close)
        bare = context.new_page()
        bare.goto(server.address)
        for given, shown in (("wrong", True), ("secret", False)):
            bare.wait_for_selector("#token-dialog[open]")
            bare.fill("#token", given)
            bare.press("#token", "Enter")
            if shown:
                until(lambda: bare.is_visible("#token-wrong"), "that the token is wrong")
        bare.wait_for_selector("body:not([aria-busy])")

    def test_photos_that_the_browser_cannot_keep(self):
        page = self.a_page()
        page.page.evaluate("""() => {
          const put = IDBObjectStore.prototype.put;
          IDBObjectStore.prototype.put = function (value) {
            const request = put.call(this, value);
            this.add(value);  // a second one of this name: what was put is taken back at the end, as on a full disk
            return request;
          };
        }""")
        page.give(SKATER)
        page.captioned(1)
        until(lambda: "does not keep the photos" in page.page.inner_text("#notices"), "that they are not kept")

    # --- for everybody

    def test_calls_from_a_program(self):
        page = self.a_page()
        page.page.click("text=Use from a program")
        folder = os.path.join(self.folder.name, "calls")
        os.makedirs(folder)
        shutil.copy(SKATER, os.path.join(folder, "photo.jpg"))
        caption = self.server.caption(SKATER, beam=5)["captions"][0]["caption"]
        runners = {"curl": ["bash", "-c"], "python": [sys.executable, "-c"], "javascript": ["node", "--input-type=module", "-e"]}
        for name, runner in runners.items():
            with self.subTest(name):
                has = {"curl": shutil.which("curl"), "javascript": shutil.which("node"),
                       "python": subprocess.run([sys.executable, "-c", "import requests"], capture_output=True).returncode == 0}
                if not has[name]:
                    self.skipTest(f"{name} cannot be run here")
                call = page.page.inner_text(f"[data-call={name}]")
                ran = subprocess.run([*runner, call], cwd=folder, capture_output=True, text=True, timeout=60)
                self.assertIn(caption, ran.stdout, ran.stderr)

    def test_widths_and_accessibility(self):
        try:
            from axe_playwright_python.sync_playwright import Axe
        except ImportError:
            Axe = None
        for width, theme in ((390, "dark"), (768, "light"), (1400, "dark"), (1400, "light")):
            page = self.a_page(viewport={"width": width, "height": 900}, color_scheme=theme)
            self.check_page(page, Axe, f"empty, {width}, {theme}")
            page.page.check("#models [value=plain]")
            page.give(SKATER)
            page.captioned(1, 2)
            for each in page.page.locator("summary").all():
                each.click()
            self.check_page(page, Axe, f"with a photo, {width}, {theme}")

    def check_page(self, page, Axe, what):
        with self.subTest(what):
            width = page.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            self.assertLessEqual(*width, "it scrolls sideways")
            if Axe is None:
                self.skipTest("the accessibility rules are not checked: axe-playwright-python is not installed")
            found = Axe().run(page.page).response["violations"]
            self.assertEqual([(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in found], [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *(f"BrowserTest.{name}" for name in sys.argv[2:])], verbosity=2)
