"""Finds the tone of a recording, with numpy."""

import wave

import numpy


def tone(path):
    with wave.open(path) as recording:
        channels, width, rate, frames = recording.getparams()[:4]
        if width != 2:
            raise ValueError("%d bits per sample: only 16 are supported" % (8 * width))
        samples = numpy.frombuffer(recording.readframes(frames), "<i2")
    if len(samples) < 1024 * channels:
        raise ValueError("%d samples are too few to find a tone" % (len(samples) // channels))
    mono = samples.reshape(-1, channels).mean(axis=1)
    spectrum = numpy.abs(numpy.fft.rfft(mono * numpy.hanning(len(mono))))
    if spectrum.max() < 1:
        raise ValueError("silence")
    # The peak lies between two points of the spectrum. It is the top of the parabola through the highest point and its
    # two neighbors.
    peak = int(numpy.clip(spectrum[1:-1].argmax() + 1, 1, len(spectrum) - 2))
    left, top, right = numpy.log(spectrum[peak - 1 : peak + 2] + 1e-9)
    hertz = (peak + (left - right) / (2 * (left - 2 * top + right))) * rate / len(mono)
    return {"Hertz": hertz, "Seconds": len(mono) / rate}
