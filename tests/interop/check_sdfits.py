"""Opens a recorded file with astropy, as an astronomer would. Any warning is an error.

usage: check_sdfits.py FILE ROWS SCANLEN TOLERANCE TONE_CHANNEL
"""
import sys
import warnings

import numpy as np
from astropy.io import fits

warnings.simplefilter("error")


def main(path, rows, scanlen, tolerance, tone):
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        table = hdus["SINGLE DISH"]
        assert len(table.data) == rows, f"{len(table.data)} rows, expected {rows}"
        total = float(np.sum(table.data["EXPOSURE"], dtype=float))
        assert abs(total - scanlen) <= tolerance, f"exposures sum to {total}, expected {scanlen} +- {tolerance}"
        assert np.all(np.diff(table.data["TIME"]) > 0), "times do not grow"
        assert np.all(table.data["NLOST"] == 0), "spectra were lost"
        data = table.data["DATA"]
        nchan, nsub = table.header["NCHAN"], table.header["NSUBBAND"]
        assert data.shape == (rows, 1, 1, nchan, nsub, 4), data.shape
        for product in (0, 1, 2):
            peak = int(np.argmax(data[:, 0, 0, :, 0, product].sum(axis=0)))
            assert peak == tone, f"product {product}: tone in channel {peak}, expected {tone}"
        assert table.header["SIMULATE"] is True
        assert table.header["ENDWHY"] in ("length", "STOP")
    print(f"{path}: {rows} rows, {total:.6f} s, tone in channel {tone}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
