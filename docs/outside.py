"""Of mdBook (../book.toml): links that leave docs/ lead to where the book's readers find the file.

That is the repository on the web, if `git-repository-url` says where it is, and otherwise the files that the book was built beside.
"""

import json
import os
import re
import sys


def links(text, root, build_dir, url):
    def link(match):
        path, anchor = os.path.normpath(os.path.join("docs", match[1])), match[2] or ""
        if url:
            return f"]({url.rstrip('/')}/blob/HEAD/{path}{anchor})"
        # mdBook would make `.html` of what ends in `.md`.
        beside = os.path.relpath(os.path.join(root, path), os.path.join(root, build_dir)).replace(".md", "%2Emd")
        return f"]({beside}{anchor})"

    return re.sub(r"\]\((\.\./[^)#\s]*)(#[^)\s]*)?\)", link, text)


def main():
    if sys.argv[1:2] == ["supports"]:
        sys.exit(sys.argv[2] != "html")
    context, book = json.load(sys.stdin)
    config = context["config"]
    url = config.get("output", {}).get("html", {}).get("git-repository-url")
    chapters = list(book["items"])
    while chapters:
        item = chapters.pop()
        if "Chapter" in item:
            chapter = item["Chapter"]
            chapter["content"] = links(chapter["content"], context["root"], config["build"]["build-dir"], url)
            chapters.extend(chapter["sub_items"])
    json.dump(book, sys.stdout)


if __name__ == "__main__":
    main()
