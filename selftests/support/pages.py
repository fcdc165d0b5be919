"""What a page loads and runs."""

import base64
import hashlib
import re
from html import unescape


def loads_nothing(page: str) -> bool:
    """Whether a page asks for nothing and may not: by its own text and by its policy."""
    text = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    asks = re.search(r"(src|href)=[\"']?(https?:)?//|@import|url\(", text)
    return not asks and "default-src 'none'" in allowed(page)


def allowed(page: str) -> str:
    """A page's Content-Security-Policy."""
    return unescape(re.search('Policy" content="([^"]+)"', page)[1])


def runs_what_it_names(page: str) -> bool:
    """Whether a page's scripts are those of its policy, each by its hash, and no tag has one more."""
    policy = allowed(page)
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.S)
    hashes = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    named = {f"'sha256-{one}'" for one in hashes} == set(re.findall(r"'sha256-[^']+'", policy))
    allows = "unsafe-inline" in policy.split("script-src")[1] or "unsafe-eval" in policy
    return named and not allows
