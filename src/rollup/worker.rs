//! The fold loop of a service: keeps what is pending small, so that reads stay fast. Exactness never depends on it.
