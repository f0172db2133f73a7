//! An offline-first to-do list on two devices: `cargo run -p syncline --example todo`
//!
//! Each task is a map with a field for each thing that can be changed by itself: renaming it here and checking it off there
//! do not get in each other's way. Nobody waits for a network; whenever there is one, the devices sync.

use std::error::Error;

use syncline::{Namespace, Node};

/// The list, as one device has it.
struct List(Namespace);

impl List {
    fn on(device: &Node) -> Result<Self, Box<dyn Error>> {
        Ok(Self(device.namespace("todo")?))
    }

    async fn add(&self, id: &str, title: &str) -> Result<(), Box<dyn Error>> {
        let (key, title) = (key(id), title.to_owned());
        // Both fields or neither.
        let add = self.0.transaction(move |t| {
            t.map(&key).set_as("title", &title)?;
            t.map(&key).set_as("done", &false)
        });
        add.await?;
        Ok(())
    }

    async fn rename(&self, id: &str, title: &str) -> Result<(), Box<dyn Error>> {
        self.0.map(key(id)).set_as("title", title).await?;
        Ok(())
    }

    async fn check_off(&self, id: &str) -> Result<(), Box<dyn Error>> {
        self.0.map(key(id)).set_as("done", &true).await?;
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<(), Box<dyn Error>> {
        self.0.delete(key(id)).await?;
        Ok(())
    }

    /// The tasks in the order of their ids, all of one state of the list.
    async fn lines(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let read = self.0.read(|view| {
            let mut lines = Vec::new();
            for found in view.keys("task:")? {
                let task = view.map(found?.0);
                // A task that was removed here while a field of it was changed elsewhere has that field alone.
                let title: Option<String> = task.get_as("title")?;
                let done = task.get_as("done")?.unwrap_or(false);
                let mark = if done { 'x' } else { ' ' };
                lines.push(format!(
                    "[{mark}] {}",
                    title.as_deref().unwrap_or("(removed)")
                ));
            }
            Ok(lines)
        });
        Ok(read.await?)
    }

    async fn show(&self, where_and_when: &str) -> Result<(), Box<dyn Error>> {
        println!("{where_and_when}");
        for line in self.lines().await? {
            println!("  {line}");
        }
        Ok(())
    }
}

fn key(id: &str) -> String {
    format!("task:{id}")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let devices = syncline::testing::cluster(2).await?;
    let (phone, laptop) = (List::on(&devices[0])?, List::on(&devices[1])?);

    phone.add("1", "buy tea").await?;
    phone.add("2", "call Ada").await?;
    phone.add("3", "water the plants").await?;
    devices.sync_all().await?;

    // On a train.
    devices.cut(0, 1);
    phone.rename("1", "buy tea and jam").await?;
    phone.remove("3").await?;
    laptop.check_off("1").await?;
    laptop.check_off("2").await?;
    laptop.add("4", "book the return").await?;
    phone.show("the phone, on the train:").await?;
    laptop.show("the laptop, at home:").await?;

    // Back home.
    devices.heal().await?;
    phone.show("both, at home:").await?;
    assert_eq!(
        phone.lines().await?,
        ["[x] buy tea and jam", "[x] call Ada", "[ ] book the return"]
    );
    assert_eq!(phone.lines().await?, laptop.lines().await?);
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}
