def table(rows, header=None):
    """Rows of texts and numbers as lines; numbers flush right, columns two blanks apart."""
    lines = [header] + rows if header else rows
    columns = max((len(row) for row in lines), default=0)
    widths = [0] * columns
    for row in lines:
        for i, cell in enumerate(row):
            widths[i] = max(widths[i], len(str(cell)))
    shown = []
    for row in lines:
        cells = []
        for cell, width in zip(row, widths):
            if isinstance(cell, (int, float)):
                cells.append(str(cell).rjust(width))
            else:
                cells.append(cell.ljust(width))
        shown.append("  ".join(cells).rstrip())
    if header:
        shown.insert(1, "  ".join("-" * width for width in widths))
    return shown
