// Nothing but the precompiled header of the tests, which needs a source file to be made for.
