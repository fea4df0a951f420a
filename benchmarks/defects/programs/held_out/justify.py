def justify(words, width):
    """Lines of exactly width, gaps as even as can be, wider ones first; the last line is flush left."""
    lines, line, letters = [], [], 0
    for word in words:
        if letters + len(line) + len(word) > width:
            gaps = max(len(line) - 1, 1)
            for i in range(width - letters):
                line[i % gaps] += " "
            lines.append("".join(line))
            line, letters = [], 0
        line.append(word)
        letters += len(word)
    lines.append(" ".join(line).ljust(width))
    return lines
