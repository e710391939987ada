#pragma once
/// A branch joins the residual stream:  y = x + dropout(branch + bias).
///
/// Shapes     x, branch, y (T, C) · bias (C), or none
/// Precision  the stream float (double for double); bias any Real
/// Backward   dx = dy: nothing to do. dbranch = dropout(dy), overwritten; the bias's gradient is bias_gradient(dbranch)
