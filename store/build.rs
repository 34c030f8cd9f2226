//! A new migration makes the crate build again: the `migrate!` macro alone does not notice one.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
