# Assets compiled into the library; filled by the rooms that need them.
