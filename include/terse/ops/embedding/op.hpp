#pragma once
/// Token and position embeddings:  y[t] = dropout(tokens[ids[t]] + positions[position[t]]).
///
/// Shapes     tokens (V, C) · positions (context, C) · y (T, C); ids and positions (T) from the packed batch
/// Precision  tables any Real; y float (double for double)
/// Backward   the gradients of both tables are added to, over t in order, whatever the number of threads
/// Errors     none at run time: ids and positions are checked where they enter (tokenizer, sampler)
