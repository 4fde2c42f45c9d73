//! What does the agent count?
