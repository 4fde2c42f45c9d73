//! Which plan does the agent run, and how does it remember it?
