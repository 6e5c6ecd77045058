//! Record batches to Polars and back, without a copy, through the Arrow C data interface.
//!
//! Both sides define the two structs of the interface with the same layout (<https://arrow.apache.org/docs/format/CDataInterface.html>);
//! each is moved across once, so exactly one side releases it. This and the program's calls to its allocator are the only `unsafe`
//! in Compline.
#![allow(unsafe_code)]

use crate::TransformError;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, make_array};
use arrow::datatypes::SchemaRef;
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use polars::prelude::{ArrowField, Column, CompatLevel, DataFrame, PolarsError, PolarsResult, Series};
use polars_arrow::ffi::{self, ArrowArray, ArrowSchema};
use std::mem::{align_of, size_of, transmute};
use std::sync::Arc;

const _: () = {
    assert!(size_of::<FFI_ArrowArray>() == size_of::<ArrowArray>());
    assert!(align_of::<FFI_ArrowArray>() == align_of::<ArrowArray>());
    assert!(size_of::<FFI_ArrowSchema>() == size_of::<ArrowSchema>());
    assert!(align_of::<FFI_ArrowSchema>() == align_of::<ArrowSchema>());
};

/// The batches, one under the other, as a frame. All must have the given schema.
pub(crate) fn to_frame(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<DataFrame, TransformError> {
    let empty = [RecordBatch::new_empty(schema.clone())];
    let batches = if batches.is_empty() { &empty[..] } else { batches };
    let columns = schema.fields().iter().enumerate().map(|(index, field)| {
        let chunks = batches.iter().map(|batch| import(batch.column(index))).collect::<PolarsResult<Vec<_>>>()?;
        let dtype = chunks.first().map(|chunk| chunk.dtype().clone()).unwrap_or_default();
        let field = ArrowField::new(field.name().as_str().into(), dtype, true);
        Ok(Column::from(Series::try_from((&field, chunks))?))
    });
    columns
        .collect::<PolarsResult<Vec<_>>>()
        .and_then(DataFrame::new_infer_height)
        .map_err(TransformError::polars("hand record batches to Polars"))
}

/// A frame as one batch of the given schema; its columns are taken by name.
pub(crate) fn to_batch(schema: &SchemaRef, mut frame: DataFrame) -> Result<RecordBatch, TransformError> {
    // Making a column one chunk may copy it: no more than one is there twice.
    let columns = schema.fields().iter().map(|field| {
        let column = frame.drop_in_place(field.name())?;
        export(&column.as_materialized_series().rechunk())
    });
    let columns =
        columns.collect::<PolarsResult<Vec<_>>>().map_err(TransformError::polars("take a column from Polars"))?;
    RecordBatch::try_new(schema.clone(), columns).map_err(TransformError::arrow("make a record batch of a frame"))
}

/// The same rows with texts of their own: those of a few rows that were taken out of many would keep the texts of all.
pub(crate) fn with_own_texts(rows: &RecordBatch) -> Result<RecordBatch, TransformError> {
    let own = |column: &ArrayRef| match column.as_string_view_opt() {
        Some(texts) => Arc::new(texts.gc()) as ArrayRef,
        None => Arc::clone(column),
    };
    let columns = rows.columns().iter().map(own).collect();
    RecordBatch::try_new(rows.schema(), columns).map_err(TransformError::arrow("take rows out of others"))
}

fn import(array: &ArrayRef) -> PolarsResult<Box<dyn polars_arrow::array::Array>> {
    let compute = |error: arrow::error::ArrowError| PolarsError::ComputeError(error.to_string().into());
    let (array, schema) = to_ffi(&array.to_data()).map_err(compute)?;
    // SAFETY: the layouts are those of the C data interface, asserted above; `to_ffi` made both structs valid, and each
    // is moved, so the arrow side does not release it again.
    unsafe {
        let schema = transmute::<FFI_ArrowSchema, ArrowSchema>(schema);
        let field = ffi::import_field_from_c(&schema)?;
        ffi::import_array_from_c(transmute::<FFI_ArrowArray, ArrowArray>(array), field.dtype)
    }
}

fn export(series: &Series) -> PolarsResult<ArrayRef> {
    let compute = |error: arrow::error::ArrowError| PolarsError::ComputeError(error.to_string().into());
    let array = series.to_arrow(0, CompatLevel::newest());
    let field = ArrowField::new(series.name().clone(), array.dtype().clone(), true);
    let schema = ffi::export_field_to_c(&field);
    let array = ffi::export_array_to_c(array);
    // SAFETY: as in `import`, the other way round.
    let data = unsafe {
        let schema = transmute::<ArrowSchema, FFI_ArrowSchema>(schema);
        from_ffi(transmute::<ArrowArray, FFI_ArrowArray>(array), &schema)
    };
    data.map(make_array).map_err(compute)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, StringViewArray, TimestampMillisecondArray,
    };
    use arrow::datatypes::{Field, Schema};
    use compline_model::{ColumnType, Table};

    const TYPES: [ColumnType; 7] = [
        ColumnType::Text,
        ColumnType::Int32,
        ColumnType::Int64,
        ColumnType::Float64,
        ColumnType::Boolean,
        ColumnType::Date,
        ColumnType::Timestamp,
    ];

    fn schema() -> SchemaRef {
        let field = |(index, kind): (usize, &ColumnType)| Field::new(format!("c{index}"), kind.data_type(), true);
        Arc::new(Schema::new(TYPES.iter().enumerate().map(field).collect::<Vec<_>>()))
    }

    fn column(kind: ColumnType) -> ArrayRef {
        match kind {
            ColumnType::Text => Arc::new(StringViewArray::from(vec![
                Some("000000000001"),
                None,
                Some("a text that is longer than a view holds"),
            ])),
            ColumnType::Int32 => Arc::new(Int32Array::from(vec![Some(i32::MAX), None, Some(i32::MIN)])),
            ColumnType::Int64 => Arc::new(Int64Array::from(vec![Some(i64::MAX), None, Some(i64::MIN)])),
            ColumnType::Float64 => Arc::new(Float64Array::from(vec![Some(0.1), None, Some(-0.0)])),
            ColumnType::Boolean => Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
            ColumnType::Date => Arc::new(Date32Array::from(vec![Some(20_000), None, Some(-1)])),
            ColumnType::Timestamp => Arc::new(
                TimestampMillisecondArray::from(vec![Some(1_700_000_000_123), None, Some(-1)]).with_timezone("UTC"),
            ),
        }
    }

    #[test]
    fn every_column_type_comes_back_as_it_went_in_batches_slices_and_empty() {
        let batch = RecordBatch::try_new(schema(), TYPES.map(column).to_vec()).expect("a batch");
        for batches in [vec![batch.clone()], vec![batch.clone(), batch.slice(1, 2)], vec![batch.slice(0, 0)], vec![]] {
            let expected = arrow::compute::concat_batches(&schema(), &batches).expect("one batch");
            let frame = to_frame(&schema(), &batches).expect("a frame");
            assert_eq!(to_batch(&schema(), frame).expect("a batch"), expected);
        }
    }

    #[test]
    fn every_table_crosses_with_its_exact_schema() {
        for table in Table::ALL {
            let frame = to_frame(&table.schema(), &[]).expect("a frame");
            assert_eq!(to_batch(&table.schema(), frame).expect("a batch").schema(), table.schema());
        }
    }

    #[test]
    fn values_are_not_copied_and_outlive_the_side_they_came_from() {
        let array: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", ColumnType::Int64.data_type(), true)]));
        let before = array.to_data().buffers()[0].as_ptr();
        let batch = RecordBatch::try_new(schema.clone(), vec![array]).expect("a batch");
        let frame = to_frame(&schema, &[batch]).expect("a frame");
        let back = to_batch(&schema, frame).expect("a batch");
        let data = back.column(0).to_data();
        assert_eq!(data.buffers()[0].as_ptr(), before);
        assert_eq!(data.buffers()[0].typed_data::<i64>()[999], 999);
    }
}
