//! Datasets on the device.

use std::sync::Arc;

use burn::tensor::{DType, Int, Tensor, TensorData, backend::Backend};

use crate::{
    Condition,
    dataset::{Dataset, upload_as},
};

/// Datasets that lie on the device, each since it was first asked for. A batch is then chosen there:
/// a step sends row numbers, not rows.
pub struct DeviceData<B: Backend> {
    tables: Vec<(Arc<Dataset>, Table<B>)>,
}

impl<B: Backend> Default for DeviceData<B> {
    /// Nothing yet.
    fn default() -> Self {
        Self { tables: Vec::new() }
    }
}

impl<B: Backend> DeviceData<B> {
    /// The tables of a dataset in a precision.
    pub fn table(
        &mut self,
        data: &Arc<Dataset>,
        device: &B::Device,
        precision: DType,
    ) -> &Table<B> {
        let known = self.tables.iter().position(|(of, _)| Arc::ptr_eq(of, data));
        let place = known.unwrap_or_else(|| {
            let table = Table::new(data, device, precision);
            self.tables.push((data.clone(), table));
            self.tables.len() - 1
        });
        &self.tables[place].1
    }
}

/// One dataset on the device.
pub struct Table<B: Backend> {
    x: Tensor<B, 2>,
    control: Tensor<B, 2>,
    context: Option<Tensor<B, 2>>,
}

impl<B: Backend> Table<B> {
    fn new(data: &Dataset, device: &B::Device, precision: DType) -> Self {
        let upload = |values, width| upload_as(values, width, device, precision);
        let (control, k) = data.controls();
        Self {
            x: upload(data.states().to_vec(), data.dim()),
            control: upload(control, k),
            context: (data.contexts() > 0)
                .then(|| upload(data.context().to_vec(), data.contexts())),
        }
    }

    /// The chosen rows: states `[n, dim]` and their conditions.
    pub fn rows(&self, rows: &[usize]) -> (Tensor<B, 2>, Condition<B>) {
        let rows = self.numbers(rows);
        let chosen = |table: &Tensor<B, 2>| table.clone().select(0, rows.clone());
        let condition =
            Condition::new(chosen(&self.control)).with_context(self.context.as_ref().map(chosen));
        (chosen(&self.x), condition)
    }

    /// The contexts of the chosen rows, `[n, m]`; `None` without contexts.
    pub fn context_rows(&self, rows: &[usize]) -> Option<Tensor<B, 2>> {
        let table = self.context.as_ref()?;
        Some(table.clone().select(0, self.numbers(rows)))
    }

    fn numbers(&self, rows: &[usize]) -> Tensor<B, 1, Int> {
        // Row numbers beyond i32 would be a dataset of more than 8 GB for each entry of a state.
        let numbers = rows
            .iter()
            .map(|&row| i32::try_from(row).unwrap_or(i32::MAX));
        let numbers: Vec<i32> = numbers.collect();
        let n = numbers.len();
        Tensor::from_data(TensorData::new(numbers, [n]), &self.x.device())
    }
}

#[cfg(test)]
mod tests {
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    #[test]
    fn rows_on_the_device_are_those_of_the_host() {
        let at = |start: f32, c| {
            let x = (0..12).map(|i| start + i as f32).collect();
            let context = (0..6).map(|i| start - i as f32).collect();
            let data = Dataset::at(x, 2, &[c]).unwrap();
            data.with_context(context, 1).unwrap()
        };
        let data = Arc::new(at(0.0, 0.5).joined(&at(100.0, 2.0)).unwrap());
        let rows = [11, 0, 5, 6, 6];
        let (x, condition) = data.rows::<Flex>(&rows, &FlexDevice);
        let mut device_data = DeviceData::<Flex>::default();
        for _ in 0..2 {
            let table = device_data.table(&data, &FlexDevice, DType::F32);
            let (found, at) = table.rows(&rows);
            assert_eq!(found.into_data(), x.to_data());
            let contexts = [&at, &condition].map(|c| c.context.clone().unwrap().into_data());
            assert_eq!(contexts[0], contexts[1]);
            assert_eq!(contexts[0], table.context_rows(&rows).unwrap().into_data());
            let controls = [at, condition.clone()].map(|c| c.control.value.into_data());
            assert_eq!(controls[0], controls[1]);
        }
        assert_eq!(device_data.tables.len(), 1, "uploaded once");
    }
}
