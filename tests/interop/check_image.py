"""Opens images with astropy, as an astronomer would, and cuts the frames again with numpy. Any warning is an error.

usage: check_image.py EXPECTED.json      (written by tests/interop_frames.rs)
"""
import json
import sys
import warnings

import numpy as np
from astropy.io import fits

warnings.simplefilter("error")
# astropy itself says that it uses conventions of long standing.
warnings.filterwarnings("ignore", message="Keyword name .* is greater than 8 characters or contains characters")


def cut(frame, mode, first_tap, taps, p, n):
    """The reference's rule, with a running sum of taps."""
    if mode == 2:
        start = first_tap // 2 * p
        return frame[: 2 * n, start : start + taps // 2 * p]
    strips = [frame[:n, (first_tap + t) * p : (first_tap + t + 1) * p] for t in range(taps)]
    if mode == 1 or taps == 1:
        return np.concatenate(strips, axis=1)
    bottom = np.concatenate(strips[: taps // 2], axis=1)
    top = np.concatenate(strips[taps // 2 :], axis=1)
    return np.vstack([top[:, ::-1], bottom[::-1]])


def check_cards(path, header, cards):
    for key, value, comment in cards:
        if value is None:
            assert header[key] is None, f"{path}: {key} = {header[key]!r}"
            continue
        assert header[key] == value and type(header[key]) is type(value), f"{path}: {key} = {header[key]!r}, not {value!r}"
        # What astropy itself would write, where one card is enough.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = str(fits.Card(key, value, comment))
        if len(theirs) == 80:
            ours = str(header.cards[key])
            assert ours == theirs, f"{path}:\n  ours   {ours}\n  theirs {theirs}"
        else:
            assert header.comments[key] == comment, f"{path}: {key}: {header.comments[key]!r}"


def check(image):
    path = image["path"]
    dtype = "<u4" if image["bits"] == 32 else "<u2"
    frame = np.fromfile(image["frame"], dtype=dtype).reshape(image["height"], image["width"])
    expected = cut(frame, image["mode"], image["first_tap"], image["taps"], image["p"], image["n"])
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        assert len(hdus) == 1
        header = hdus[0].header
        assert header["BITPIX"] == image["bits"] and header["BSCALE"] == 1
        assert header["BZERO"] == 1 << (image["bits"] - 1)
        check_cards(path, header, image["cards"])
        tail = [k for k in header if k][-5:]
        assert tail == ["BUFFER", "BSCALE", "BZERO", "CHECKSUM", "DATASUM"], tail
        data = hdus[0].data
        assert data.dtype == np.dtype(dtype).newbyteorder("="), data.dtype
        assert np.array_equal(data, expected), f"{path}: the pixels differ"
    print(f"{path}: {data.shape[1]} x {data.shape[0]} x {image['bits']} bit, {len(image['cards'])} cards")


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        for one in json.load(file):
            check(one)
