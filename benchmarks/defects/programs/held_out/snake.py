def snake(name):
    """camelCase, PascalCase and HTTPServer to camel_case, pascal_case, http_server."""
    parts = []
    for i, ch in enumerate(name):
        if ch.isupper() and i > 0:
            follows_lower = name[i - 1].islower() or name[i - 1].isdigit()
            before_lower = i + 1 < len(name) and name[i + 1].islower()
            if (follows_lower or before_lower) and name[i - 1] != "_":
                parts.append("_")
        parts.append(ch.lower())
    return "".join(parts)
