"""The tool beside one big statement, the naive loop and peers, in one run: prints ratios, asserts no time."""
