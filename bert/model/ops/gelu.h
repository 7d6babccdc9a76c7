// GELU (Hendrycks and Gimpel 2016), exact by the error function or by tanh, and its slope.
#pragma once
#include "vector.h"

namespace bert {

struct CdfAndSlope {
  Floats cdf, slope;      // gelu(x) = x cdf; slope: d gelu / dx
};

// cdf = Phi(x), the normal distribution.  Phi(-|x|) is exp(-x^2 / 2) times a polynomial in
// 1 / (1 + 0.3 |x|), fitted to a relative error of 1.5e-7, so that the far left is right too.
struct Exact {
  static CdfAndSlope at(Floats x) {
    Floats size = x < 0.f ? -x : x;
    Floats t = 1.f / (1.f + 0.3f * size);
    Floats p = broadcast(0.0356799221f);
    p = p * t - 0.157225109f;
    p = p * t + 0.206392194f;
    p = p * t - 0.0537196808f;
    p = p * t + 0.128580786f;
    p = p * t + 0.0999076972f;
    p = p * t + 0.120754877f;
    p = p * t + 0.11962924f;
    Floats density = exponential(-0.5f * x * x);
    Floats tail = p * t * density;
    Floats cdf = x < 0.f ? tail : 1.f - tail;
    return {cdf, cdf + 0.398942280f * x * density};
  }
};

// cdf = (1 + tanh u) / 2 = 1 / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3)
struct Tanh {
  static CdfAndSlope at(Floats x) {
    Floats exponent = -1.595769122f * (x + 0.044715f * x * x * x);
    exponent = exponent > 88.f ? broadcast(88.f) : exponent;
    Floats cdf = 1.f / (1.f + exponential(exponent));
    return {cdf, cdf + x * cdf * (1.f - cdf) * (1.595769122f + 0.2140644488f * x * x)};
  }
};

template <class Form>
struct Gelu {
  static Floats at(Floats x) { return x * Form::at(x).cdf; }
};

}  // namespace bert
