#!/usr/bin/env python3
"""scripts/get_data.sh against a server on this machine that answers as Kaggle and COCO's do, with transfers cut.

usage: get_data_test.py IMGCAP. Exit code 77: curl or unzip is not installed. The real servers are never asked.
"""
import base64, http.server, io, json, os, shutil, socket, subprocess, sys, tempfile, threading, zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PHOTO = os.path.join(ROOT, "assets/photos/coco_000000000285.jpg")
LOGIN = "Basic " + base64.b64encode(b"somebody:0123abc").decode()


def archive(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        for name, content in files.items():
            z.writestr(name, content)
    return out.getvalue()


photo = open(PHOTO, "rb").read()
CAPTIONS = "image_name| comment_number| comment\n" + "".join(f"{p}.jpg| {i}| a bear {i}\n" for p in (1, 2) for i in range(5))
FILES = {
    "hsankesara/flickr-image-dataset": archive({
        "flickr30k_images/results.csv": CAPTIONS, "flickr30k_images/flickr30k_images/1.jpg": photo,
        "flickr30k_images/flickr30k_images/2.jpg": photo[:-2] + b"\0" + photo[-2:],
        "flickr30k_images/flickr30k_images/flickr30k_images/1.jpg": photo}),
    "adityajn105/flickr8k": archive({"captions.txt": "image,caption\n1.jpg,a bear\n", "Images/1.jpg": photo}),
    "zips/train2014.zip": archive({"train2014/COCO_train2014_000000000001.jpg": photo}),
    "zips/val2014.zip": archive({"val2014/COCO_val2014_000000000002.jpg": photo}),
    "annotations/annotations_trainval2014.zip": archive({f"annotations/captions_{part}2014.json": json.dumps({
        "images": [{"id": n, "file_name": f"COCO_{part}2014_{n:012}.jpg"}],
        "annotations": [{"id": n, "image_id": n, "caption": "a bear"}]}) for part, n in (("train", 1), ("val", 2))}),
}


class Server(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.cuts, self.ranges, self.status, self.log, self.stalled = 0, True, None, [], False


class Answer(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server, path, login = self.server, self.path.split("?")[0], self.headers.get("Authorization")
        server.log.append((path, self.headers.get("Range")))
        kaggle = "/api/v1/datasets/download/"
        if path.startswith(kaggle):
            if server.status or login != LOGIN:
                return self.send_error(server.status or 401)
            self.send_response(302)  # to another host, which is not to have the login
            self.send_header("Location", f"http://localhost:{server.server_port}/{path[len(kaggle):]}?signature=x")
            return self.end_headers()
        assert login is None, "the login went to another host"
        content = FILES.get(path[1:])
        if content is None:
            return self.send_error(404)
        begin, end = 0, len(content)
        wanted = self.headers.get("Range")
        if wanted and (server.ranges or wanted == "bytes=0-0"):
            first, last = wanted[len("bytes="):].split("-")
            begin, end = int(first), int(last) + 1 if last else len(content)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        part = content[begin:end]
        if len(part) > 1 and server.cuts > 0:
            server.cuts -= 1
            part = b"" if server.stalled else part[:len(part) // 2]
        self.wfile.write(part)
        self.wfile.flush()
        self.close_connection = True


def main():
    imgcap = sys.argv[1]
    if not shutil.which("curl") or not shutil.which("unzip"):
        print("skipped (curl or unzip is not installed): scripts/get_data.sh")
        return 77
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_port}"
    folder = tempfile.mkdtemp(prefix="get_data_")

    def run(name, to, expect, *more, answer="", **environment):
        server.log.clear()
        env = dict(os.environ, IMGCAP=imgcap, IMGCAP_GET_DATA_KAGGLE=here, IMGCAP_GET_DATA_COCO=here, HOME=folder,
                   IMGCAP_GET_DATA_WAIT="0", IMGCAP_GET_DATA_EXPECT=expect, no_proxy="*", **environment)
        for variable in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR"):
            if variable not in environment:
                env.pop(variable, None)
        done = subprocess.run([os.path.join(ROOT, "scripts/get_data.sh"), *more, name, os.path.join(folder, to)], env=env,
                              input=answer, text=True, capture_output=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def check(result, code, *texts):
        whole = result[1] + result[2]
        assert result[0] == code, result
        for text in texts:
            assert text in whole, (text, result)

    def transfers():
        return [r for p, r in server.log if not p.startswith("/api/") and r != "bytes=0-0"]

    try:
        token = dict(KAGGLE_USERNAME="somebody", KAGGLE_KEY="0123abc")
        # Without a token, with a wrong one, without an answer to the question, for what is not there.
        check(run("flickr30k", "a", "2 10", "--yes"), 2, "no Kaggle token: make one on kaggle.com/settings")
        assert not server.log
        check(run("flickr30k", "a", "2 10", "--yes", KAGGLE_USERNAME="x", KAGGLE_KEY="y"), 2, "does not know the token")
        check(run("flickr30k", "a", "2 10", "--yes", KAGGLE_USERNAME='x"y', KAGGLE_KEY="y"), 2, "no name and key of letters")
        server.status = 403
        check(run("flickr30k", "a", "2 10", "--yes", **token), 2, "open the data set's page once and accept")
        server.status = None
        asked = run("flickr30k", "a", "2 10", answer="y\n", **token)
        check(asked, 2, "non-commercial research", "To fetch: 1 MB into", "--yes agrees to size and terms")
        assert not transfers() and not os.listdir(os.path.join(folder, "a"))
        check(run("imagenet", "a", "0 0", "--yes"), 2, "usage:")

        # Cut three times: each goes on where the one before ended.
        os.mkdir(os.path.join(folder, ".kaggle"))
        with open(os.path.join(folder, ".kaggle/kaggle.json"), "w") as f:
            json.dump({"username": "somebody", "key": "0123abc"}, f)
        server.cuts, size = 3, len(FILES["hsankesara/flickr-image-dataset"])
        done = run("flickr30k", "a", "2 10", "--yes")
        check(done, 0, "10 captions of 2 photos", "photos                2, 2 can be read", "Ready.", f"cut at {size // 2} of {size}")
        begins = [int(r[len("bytes="):-1]) if r else 0 for r in transfers()]
        assert begins[0] == 0 and len(begins) == 4 and begins == sorted(set(begins)), begins
        assert begins[1] == size // 2
        with open(os.path.join(folder, "a/flickr-image-dataset.zip"), "rb") as f:
            assert f.read() == FILES["hsankesara/flickr-image-dataset"]
        assert not os.path.exists(os.path.join(folder, "a/flickr30k_images/flickr30k_images/flickr30k_images"))
        # Once more: nothing is fetched or asked; a wrong number of photos is found.
        check(run("flickr30k", "a", "2 10"), 0, "Ready.")
        assert not server.log
        check(run("flickr30k", "a", "31783 0"), 2, "31783 photos were expected, and there are 2")

        # No progress: it gives up, and the next call goes on from there.
        server.cuts, server.stalled = 99, True
        check(run("flickr8k", "b", "1 1", "--yes"), 2, "run the same again to go on")
        server.cuts, server.stalled = 1, False
        run("flickr8k", "b", "1 1", "--yes")
        server.ranges = False  # it cannot go on in the middle: from the beginning
        part, whole = os.path.join(folder, "c/flickr8k.zip.part"), FILES["adityajn105/flickr8k"]
        os.mkdir(os.path.dirname(part))
        with open(part, "wb") as f:
            f.write(whole[:1000])
        check(run("flickr8k", "c", "1 1", "--yes"), 0, "from the beginning", "Ready.")
        server.ranges = True
        with open(os.path.join(folder, "b/flickr8k.zip"), "rb") as f:
            assert f.read() == whole

        # A damaged archive is named.
        FILES["adityajn105/flickr8k"] = whole.replace(photo[2000:2100], bytes(100))
        check(run("flickr8k", "d", "1 1", "--yes"), 2, "damaged (unzip's code")

        # COCO: three archives, no token.
        server.cuts = 2
        check(run("coco", "e", "2 2", "--yes"), 0, "2 captions of 2 photos", "CC BY 4.0", "Ready.")
        del FILES["zips/val2014.zip"]
        check(run("coco", "f", "2 2", "--yes"), 2, "val2014.zip is not there any more")
    finally:
        shutil.rmtree(folder)
        server.shutdown()
    print("scripts/get_data.sh: all as wanted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
