"""Powers as Prometheus computes them: to the bit where the exponent is whole or a half.

    in   bases and exponents
    out  powers

Go multiplies mantissas by repeated squaring, which rounds otherwise than the C library's pow;
dashboards square things. The broken part of an exponent goes through exp and log, as in Go; theirs
differ from the C library's by an ulp at times, and so does the power.

Source: math/pow.go of Go, for the order of operations only.
"""

import math

from numba import types

from tsdb.jit import inlined, kernel

_F64S = types.Array(types.float64, 1, "C", readonly=True)
_OUT = types.Array(types.float64, 1, "C")

WHOLE_MAX = 2.0**63  # exponents below it fit a counter
EXPONENT_MAX = 4096  # of two; beyond it the power is 0 or infinite whatever the mantissa


@inlined
def composed(base, exponent):
    """Of a finite base that is not 0; a negative one only with a whole exponent."""
    whole = math.floor(abs(exponent))
    broken = abs(exponent) - whole
    if broken > 0.5:
        broken -= 1.0
        whole += 1.0
    product, scale = 1.0, 0
    if broken != 0.0:
        product = math.exp(broken * math.log(base))
    mantissa, twos = math.frexp(base)
    left = int(whole)
    while left != 0:
        if twos < -EXPONENT_MAX or twos > EXPONENT_MAX:
            scale += twos
            break
        if left & 1:
            product *= mantissa
            scale += twos
        mantissa *= mantissa
        twos *= 2
        if mantissa < 0.5:
            mantissa += mantissa
            twos -= 1
        left >>= 1
    if exponent < 0.0:
        product, scale = 1.0 / product, -scale
    return math.ldexp(product, scale)


@kernel(types.void(_F64S, _F64S, _OUT))
def power(bases, exponents, out):
    for i in range(bases.size):
        base, exponent = bases[i], exponents[i]
        special = not math.isfinite(base) or base == 0.0 or base == 1.0
        if special or math.isnan(exponent) or abs(exponent) >= WHOLE_MAX:
            out[i] = base**exponent
        elif base < 0.0 and exponent != math.floor(exponent):
            out[i] = math.nan
        elif exponent == 0.5:
            out[i] = math.sqrt(base)
        elif exponent == -0.5:
            out[i] = 1.0 / math.sqrt(base)
        else:
            out[i] = composed(base, exponent)
