"""Asks every operation of the API with what Schemathesis makes up from the OpenAPI document.

    walk_api.py LAMINA SECONDS

Starts the program LAMINA as a server of its own in a temporary folder, becomes its administrator, and lets Schemathesis
ask for about so many seconds. Succeeds when no answer was a server error or something else than the document says.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import urllib.request

PASSWORD = "correct horse battery"
# An answer that is no server error, has a status and content type that the document has, and the form that it says.
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# Ending the session, changing the password and taking roles away would end the walk.
EXCEPT = "log_in|log_out|change_password|reset_password|delete_token|update_user|delete_user|create_token"


def ask(base, method, path, body, cookie=None):
    headers = {"content-type": "application/json"}
    if cookie:
        headers["cookie"] = cookie
    request = urllib.request.Request(base + path, json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
        given = answer.headers.get("set-cookie", "").split(";")[0]
        return (json.loads(text) if text else None), given


def main(lamina, seconds):
    with tempfile.TemporaryDirectory() as folder:
        command = [lamina, "serve", "--dir", f"{folder}/server", "--listen", "127.0.0.1:0"]
        log = open(f"{folder}/log", "w")
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            words = server.stdout.readline().split()
            base = next(word for word in words if word.startswith("http")).rstrip("/.,")
            password = server.stdout.readline().split()[-1]
            _, cookie = ask(base, "POST", "/session", {"name": "admin", "password": password})
            _, renewed = ask(base, "PUT", "/me/password", {"current": password, "new": PASSWORD}, cookie)
            made, _ = ask(base, "POST", "/me/tokens", {"name": "walk", "days": 1}, renewed or cookie)
            with urllib.request.urlopen(base + "/openapi.json") as answer:
                document = pathlib.Path(folder, "openapi.json")
                document.write_bytes(answer.read())
            schemathesis = pathlib.Path(sys.executable).parent / "schemathesis"
            walk = [schemathesis, "run", document, "--url", base, "--header",
                    f"Authorization: Bearer {made['secret']}", "--header", "If-Match: *",
                    "--checks", CHECKS, "--exclude-operation-id-regex", f"^({EXCEPT})$",
                    "--max-time", str(seconds), "--seed", "1", "--no-color",
                    "--suppress-health-check", "all", "--request-timeout", "70"]
            ended = subprocess.run(walk, cwd=folder).returncode
            if server.poll() is not None:
                print("the server has stopped")
                return 1
            return ended
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
            log.close()
            errors = [line for line in open(f"{folder}/log") if "ERROR" in line or '"error' in line.lower()]
            print(f"{len(errors)} errors in the server's log")
            for line in errors[:20]:
                print(line.rstrip()[:600])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
