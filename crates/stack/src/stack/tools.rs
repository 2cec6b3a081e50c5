//! The tools that the server itself runs for its agent.

mod time;

use std::collections::BTreeMap;
use std::sync::Arc;

use antiphon_core::{BoxFuture, Error, Tool, ToolAnswer, ToolCall, ToolCaller, Tools};
use anyhow::{Result, bail};

use self::time::Time;
use crate::config::Config;

/// The names that `[agent] tools` may contain.
const KNOWN: [&str; 1] = [Time::NAME];

/// The tools named in `[agent] tools`; `None` if there are none.
pub(super) fn of(config: &Config) -> Result<Option<Arc<dyn Tools>>> {
    let mut tools: BTreeMap<String, Arc<dyn ServerTool>> = BTreeMap::new();
    for name in &config.agent.tools {
        let tool = match name.as_str() {
            Time::NAME => Arc::new(Time),
            other => {
                bail!("[agent] tools: there is no tool '{other}'; there is {}", KNOWN.join(", "))
            }
        };
        tools.insert(name.clone(), tool);
    }
    Ok((!tools.is_empty()).then(|| Arc::new(ServerTools(tools)) as Arc<dyn Tools>))
}

/// A tool that the server runs.
trait ServerTool: Send + Sync {
    /// The description that the language model is given.
    fn describe(&self) -> Tool;

    /// Runs the tool with these arguments, in JSON as the model wrote them.
    fn run(
        &self,
        caller: &ToolCaller,
        arguments: &str,
    ) -> BoxFuture<'static, antiphon_core::Result<ToolAnswer>>;
}

/// The tools of an agent, by name.
struct ServerTools(BTreeMap<String, Arc<dyn ServerTool>>);

impl Tools for ServerTools {
    fn list(&self) -> Vec<Tool> {
        self.0.values().map(|tool| tool.describe()).collect()
    }

    fn run(
        &self,
        caller: &ToolCaller,
        call: ToolCall,
    ) -> BoxFuture<'static, antiphon_core::Result<ToolAnswer>> {
        if let Some(tool) = self.0.get(&call.name) {
            tool.run(caller, &call.arguments)
        } else {
            let unknown = Error::not_found(format!("there is no tool '{}'", call.name));
            Box::pin(std::future::ready(Err(unknown)))
        }
    }
}

#[cfg(test)]
mod tests {
    use antiphon_core::{AgentId, CallId, Identity, Share, TenantId};

    use super::*;

    fn with_tools(names: &[&str]) -> Config {
        let mut config = Config::default();
        config.agent.tools = names.iter().map(|name| (*name).to_owned()).collect();
        config
    }

    #[tokio::test]
    async fn what_is_named_can_be_called_and_nothing_else() {
        assert!(of(&with_tools(&[])).expect("good").is_none(), "off unless asked for");
        let tools = of(&with_tools(&["time"])).expect("good").expect("one tool");
        assert_eq!(tools.list().iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["time"]);
        let identity =
            Identity { tenant: TenantId::only(), agent: AgentId::only(), person: None, share: Share::Server };
        let caller = ToolCaller { call: CallId::new("call_1"), identity };
        let call = |name: &str| ToolCall { id: "1".into(), name: name.into(), arguments: "{}".into() };
        assert!(tools.run(&caller, call("time")).await.expect("answers").text.contains("weekday"));
        assert!(tools.run(&caller, call("weather")).await.is_err());
    }

    #[test]
    fn an_unknown_tool_is_refused_with_those_there_are() {
        let error = of(&with_tools(&["tine"])).err().expect("refused").to_string();
        assert!(
            error.contains("[agent] tools") && error.contains("'tine'") && error.contains("time"),
            "{error}"
        );
    }
}
